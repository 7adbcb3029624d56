// Refusals as lines in JavaScript: newRefusalLines() and its calls by handle. See
// gate/refusal_lines.hpp.
#include <napi.h>

#include <string>
#include <vector>

#include "binding/parts.hpp"
#include "gate/refusal_lines.hpp"

namespace activemx {
namespace {

using Handle = Napi::External<RefusalLines>;

RefusalLines& lines_of(const Napi::CallbackInfo& info) { return *info[0].As<Handle>().Data(); }

std::span<const RefusalEntry> entries_of(const Napi::Value& value) {
  const auto octets = value.As<Napi::Uint8Array>();
  return {reinterpret_cast<const RefusalEntry*>(octets.Data()),
          octets.ByteLength() / sizeof(RefusalEntry)};
}

// newRefusalLines() → handle
Napi::Value new_refusal_lines(const Napi::CallbackInfo& info) {
  return Handle::New(info.Env(), new RefusalLines,
                     [](Napi::Env, RefusalLines* owned) { delete owned; });
}

// refusalLinesForm(handle, entry, parts): the form of refusals like this entry; each part is a text
// or the number of a place; no parts: there is none
void set_form(const Napi::CallbackInfo& info) {
  const auto given = info[2].As<Napi::Array>();
  std::vector<RefusalLines::Part> parts;
  for (std::uint32_t at = 0; at < given.Length(); ++at) {
    const Napi::Value part = given.Get(at);
    if (part.IsString()) {
      parts.push_back({RefusalLines::Place::text, part.As<Napi::String>()});
    } else {
      const std::uint32_t place = part.ToNumber().Uint32Value();
      parts.push_back({static_cast<RefusalLines::Place>(place), {}});
    }
  }
  const auto entries = entries_of(info[1]);
  if (!entries.empty()) {
    lines_of(info).set_form(RefusalLines::kind_of(entries.front()), std::move(parts));
  }
}

// refusalLinesSecond(handle, second, text)
void set_second(const Napi::CallbackInfo& info) {
  lines_of(info).set_second(info[1].ToNumber().Int64Value(), info[2].As<Napi::String>());
}

void clear(const Napi::CallbackInfo& info) { lines_of(info).clear(); }

// refusalLinesWrite(handle, entries, lines, written): written[0] entries, [1] octets, [2] enum Stop
void write(const Napi::CallbackInfo& info) {
  auto lines = info[2].As<Napi::Uint8Array>();
  const auto written = lines_of(info).write(
      entries_of(info[1]), {reinterpret_cast<char*>(lines.Data()), lines.ByteLength()});
  auto told = info[3].As<Napi::Uint32Array>();
  told.Data()[0] = static_cast<std::uint32_t>(written.entries);
  told.Data()[1] = static_cast<std::uint32_t>(written.octets);
  told.Data()[2] = static_cast<std::uint32_t>(written.stop);
}

}  // namespace

void add_refusal_lines(Napi::Env env, Napi::Object exports) {
  exports.Set("newRefusalLines", Napi::Function::New(env, new_refusal_lines));
  exports.Set("refusalLinesForm", Napi::Function::New(env, set_form));
  exports.Set("refusalLinesSecond", Napi::Function::New(env, set_second));
  exports.Set("refusalLinesClear", Napi::Function::New(env, clear));
  exports.Set("refusalLinesWrite", Napi::Function::New(env, write));
}

}  // namespace activemx
