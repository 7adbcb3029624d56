// Calls that the benches compare with: the same structure without Node-API, and Node-API without
// work.
#include <algorithm>
#include <array>
#include <chrono>
#include <string>

#include "binding/ip_table.hpp"
#include "core/table_registry.hpp"

namespace activemx {
namespace {

napi_value empty_call(napi_env, napi_callback_info) { return nullptr; }

napi_value echo_u32(napi_env env, napi_callback_info info) {
  std::size_t count = 1;
  napi_value argument = nullptr;
  std::uint32_t value = 0;
  napi_value answer = nullptr;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  napi_get_value_uint32(env, argument, &value);
  napi_create_uint32(env, value, &answer);
  return answer;
}

// One pass over the addresses in one of the ways; the classes are written.
void pass(const std::string& way, SharedTable& table, TableReader& reader,
          std::span<const std::uint32_t> addresses, VerdictClass* classes, std::size_t batch) {
  if (way == "bitmap") {
    for (std::size_t i = 0; i < addresses.size(); ++i) {
      classes[i] = static_cast<VerdictClass>(table.any24().bit(addresses[i]));
    }
  } else if (way == "scalar") {
    for (std::size_t i = 0; i < addresses.size(); ++i) classes[i] = reader.lookup4(addresses[i]);
  } else if (way == "dependent") {
    // Each address waits for the answer to the one before.
    VerdictClass last = 0;
    for (std::size_t i = 0; i < addresses.size(); ++i) {
      last = reader.lookup4(addresses[i] ^ (last == 0xffff ? 1U : 0U));
      classes[i] = last;
    }
  } else {
    for (std::size_t from = 0; from < addresses.size(); from += batch) {
      const auto part = addresses.subspan(from, std::min(batch, addresses.size() - from));
      reader.lookup_many4(part, classes + from);
    }
  }
}

// The addresses are four words each.
void pass6(TableReader& reader, std::span<const std::uint32_t> words, VerdictClass* classes) {
  std::array<Image6::Address, 256> part;
  const std::uint32_t* word = words.data();
  for (std::size_t from = 0; from < words.size() / 4; from += part.size()) {
    const std::size_t size = std::min(part.size(), words.size() / 4 - from);
    for (std::size_t i = 0; i < size; ++i, word += 4) {
      part[i] = {std::uint64_t{word[0]} << 32 | word[1], std::uint64_t{word[2]} << 32 | word[3]};
    }
    reader.lookup_many6(std::span(part).first(size), classes + from);
  }
}

// measureTable(handle, way, addresses, classes, batch, passes) → nanoseconds of all passes.
// way: bitmap | scalar | dependent | many | many6
Napi::Value measure_table(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto table = find_shared_table(info[0].ToNumber().Uint32Value());
  const std::string way = info[1].ToString().Utf8Value();
  const std::size_t words_each = way == "many6" ? 4 : 1;
  const bool fits = info[2].IsTypedArray() && info[3].IsTypedArray() &&
                    info[3].As<Napi::TypedArray>().ElementLength() * words_each >=
                        info[2].As<Napi::TypedArray>().ElementLength();
  const std::size_t batch = info[4].ToNumber().Uint32Value();
  if (table == nullptr || !fits || batch == 0) {
    throw_argument_error(env, "measureTable: no such table, buffers or batch");
    return env.Undefined();
  }
  const auto addresses = info[2].As<Napi::Uint32Array>();
  auto classes = info[3].As<Napi::Uint16Array>();
  TableReader reader(table);
  const auto start = std::chrono::steady_clock::now();
  for (std::uint32_t i = info[5].ToNumber().Uint32Value(); i > 0; --i) {
    const std::span<const std::uint32_t> all(addresses.Data(), addresses.ElementLength());
    if (words_each == 4) pass6(reader, all, classes.Data());
    else pass(way, *table, reader, all, classes.Data(), batch);
  }
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
  return Napi::Number::New(env, took.count());
}

}  // namespace

void add_table_measures(Napi::Env env, Napi::Object exports) {
  const auto set_raw = [&](const char* name, napi_callback callback) {
    napi_value made = nullptr;
    if (napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &made) == napi_ok) {
      exports.Set(name, Napi::Value(env, made));
    }
  };
  set_raw("measureEmptyCall", empty_call);
  set_raw("measureEchoU32", echo_u32);
  exports.Set("measureTable", Napi::Function::New(env, measure_table));
}

}  // namespace activemx
