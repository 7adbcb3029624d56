// IP tables, the part that makes them: columns in, images and handles out. What asks and changes
// one table is in table_attachment.cpp.
//
// All calls are synchronous and may be made in any JavaScript thread; a compilation takes a quarter
// of a second for a million prefixes and belongs into a thread that does not serve. Faults of
// operation are numbers (TableError) that src/tables names; wrong arguments throw TABLE_ARGUMENT.
#include "binding/ip_table.hpp"

#include <algorithm>
#include <utility>

#include "binding/parts.hpp"
#include "core/snapshot.hpp"
#include "core/table_registry.hpp"

namespace activemx {
namespace {

// The first `count` numbers of a typed array of the wanted kind.
template <class Number>
[[nodiscard]] bool read_column(const Napi::Object& family, const char* name,
                               napi_typedarray_type type, std::size_t count,
                               std::span<const Number>& column) {
  const Napi::Value value = family.Get(name);
  if (!value.IsTypedArray()) return false;
  const auto array = value.As<Napi::TypedArray>();
  if (array.TypedArrayType() != type || array.ElementLength() < count) return false;
  if (count > 0) column = {value.As<Napi::TypedArrayOf<Number>>().Data(), count};
  return true;
}

[[nodiscard]] bool read_family(const Napi::Value& value, std::size_t words_each,
                               RuleColumns& columns) {
  if (!value.IsObject()) return false;
  const auto family = value.As<Napi::Object>();
  const std::size_t count = family.Get("count").ToNumber().Uint32Value();
  return read_column(family, "words", napi_uint32_array, count * words_each, columns.words) &&
         read_column(family, "lengths", napi_uint8_array, count, columns.lengths) &&
         read_column(family, "listIds", napi_uint16_array, count, columns.list_ids) &&
         read_column(family, "fileIds", napi_uint16_array, count, columns.file_ids) &&
         read_column(family, "lines", napi_uint32_array, count, columns.lines) &&
         read_column(family, "excluded", napi_uint8_array, count, columns.excluded);
}

[[nodiscard]] bool read_names(const Napi::Value& value, std::vector<std::string>& names) {
  if (!value.IsArray()) return false;
  const auto array = value.As<Napi::Array>();
  for (std::uint32_t i = 0; i < array.Length(); ++i) {
    names.push_back(array.Get(i).ToString().Utf8Value());
  }
  return true;
}

// Ids must have names and lengths be possible, or the build would leave its arrays.
[[nodiscard]] bool is_in_range(const RuleColumns& columns, const IpRules& rules, unsigned bits) {
  const auto below = [](const auto& column, std::size_t end) {
    return std::all_of(column.begin(), column.end(), [end](auto id) { return id < end; });
  };
  // 4,096 lists (limits.ts) leave room in the steps of a sweep, which have 15 bits for a list.
  return rules.lists.size() <= 4096 && below(columns.list_ids, rules.lists.size()) &&
         below(columns.file_ids, rules.files.size()) && below(columns.lengths, bits + 1U);
}

// tableCompile(columns) → { image } or { error }
Napi::Value compile_table(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  IpRules rules;
  const Napi::Object columns = info[0].ToObject();
  const bool is_read = read_names(columns.Get("lists"), rules.lists) &&
                       read_names(columns.Get("files"), rules.files) &&
                       read_family(columns.Get("v4"), 1, rules.v4) &&
                       read_family(columns.Get("v6"), 4, rules.v6);
  if (!is_read || !is_in_range(rules.v4, rules, 32) || !is_in_range(rules.v6, rules, 128)) {
    throw_argument_error(env, "columns of another shape than PrefixColumns");
    return env.Undefined();
  }
  TableError error = TableError::none;
  auto image = compile(rules, error);
  Napi::Object answer = Napi::Object::New(env);
  if (image == nullptr) {
    answer.Set("error", Napi::Number::New(env, static_cast<double>(error)));
  } else {
    answer.Set("image", Napi::Number::New(env, register_compiled(CompiledTable(std::move(image)))));
  }
  return answer;
}

// tableLoad(path) → { image } or { error, reason }
Napi::Value load_table(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  SnapshotFault fault;
  auto image = load_snapshot(info[0].ToString().Utf8Value(), fault);
  Napi::Object answer = Napi::Object::New(env);
  if (image == nullptr) {
    answer.Set("error", Napi::Number::New(env, static_cast<double>(fault.error)));
    answer.Set("reason", Napi::String::New(env, fault.reason));
  } else {
    answer.Set("image", Napi::Number::New(env, register_compiled(CompiledTable(std::move(image)))));
  }
  return answer;
}

// tableRepeat(image) → a second number of the same image
Napi::Value repeat_table(const Napi::CallbackInfo& info) {
  const std::uint32_t image = register_again(info[0].ToNumber().Uint32Value());
  if (image != 0) return Napi::Number::New(info.Env(), image);
  throw_argument_error(info.Env(), "the image has been used or discarded");
  return info.Env().Undefined();
}

// tableDiscard(image)
Napi::Value discard_table(const Napi::CallbackInfo& info) {
  (void)take_compiled(info[0].ToNumber().Uint32Value());
  return info.Env().Undefined();
}

// tableCreate() → handle of an empty table
Napi::Value create_table(const Napi::CallbackInfo& info) {
  const auto handle = register_shared_table(std::make_shared<SharedTable>());
  return Napi::Number::New(info.Env(), handle);
}

// tableForget(handle): whoever is attached stays so; nobody else can attach.
Napi::Value forget_table(const Napi::CallbackInfo& info) {
  forget_shared_table(info[0].ToNumber().Uint32Value());
  return info.Env().Undefined();
}

}  // namespace

void throw_argument_error(Napi::Env env, const char* what) {
  Napi::TypeError error = Napi::TypeError::New(env, std::string("ip table: ") + what);
  error.Set("code", Napi::String::New(env, "TABLE_ARGUMENT"));
  error.ThrowAsJavaScriptException();
}

void add_ip_table(Napi::Env env, Napi::Object exports) {
  exports.Set("tableCompile", Napi::Function::New(env, compile_table));
  exports.Set("tableLoad", Napi::Function::New(env, load_table));
  exports.Set("tableRepeat", Napi::Function::New(env, repeat_table));
  exports.Set("tableDiscard", Napi::Function::New(env, discard_table));
  exports.Set("tableCreate", Napi::Function::New(env, create_table));
  exports.Set("tableForget", Napi::Function::New(env, forget_table));
  exports.Set("tableAttach", Napi::Function::New(env, attach_table));
  add_table_measures(env, exports);
}

}  // namespace activemx
