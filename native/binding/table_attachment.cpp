// TableAttachment: one table as one JavaScript thread sees it.
//
// Hot calls take no arguments and return nothing: question and answer pass through a mailbox, a
// small memory that JavaScript sees as a Uint32Array, because every napi_value made or read costs
// more than the lookup. They use raw Node-API; the rest is node-addon-api.
//
//   mailbox  0 … 3  the address: IPv4 in word 3, IPv6 most significant first
//            4      class          5  length of the longest prefix, in bits of the family
//            6      how often class numbers have been taken back: names kept for them are stale
//            7      how many addresses of a batch to ask    8  from which on
//
// Lifetime: every function and every view holds the attachment, which holds the table. One thread.
#include <array>
#include <memory>
#include <utility>

#include "binding/ip_table.hpp"
#include "core/snapshot.hpp"
#include "core/table_registry.hpp"

namespace activemx {
namespace {

// Four words, most significant first.
[[nodiscard]] Image6::Address address_of(const std::uint32_t* words) noexcept {
  return {std::uint64_t{words[0]} << 32 | words[1], std::uint64_t{words[2]} << 32 | words[3]};
}

struct Attachment {
  explicit Attachment(std::shared_ptr<SharedTable> attached)
      : table(std::move(attached)), reader(table) {}

  std::shared_ptr<SharedTable> table;
  TableReader reader;
  std::array<std::uint32_t, 16> mailbox{};

  [[nodiscard]] Image6::Address address() const noexcept {
    return address_of(mailbox.data());
  }
  [[nodiscard]] Key6 key() const noexcept {
    const Image6::Address halves = address();
    return static_cast<Key6>(halves.high) << 64 | halves.low;
  }
};

using Held = std::shared_ptr<Attachment>;

// Addresses and classes that JavaScript fills and reads in place.
struct Batch {
  Held attachment;
  std::vector<std::uint32_t> addresses;
  std::vector<VerdictClass> classes;
};

// — raw Node-API: no argument, no result —

[[nodiscard]] Attachment& attachment_of(napi_env env, napi_callback_info info) noexcept {
  void* data = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  return *static_cast<Attachment*>(data);
}

napi_value lookup4(napi_env env, napi_callback_info info) {
  Attachment& own = attachment_of(env, info);
  own.mailbox[4] = own.reader.lookup4(own.mailbox[3]);
  return nullptr;
}

napi_value lookup6(napi_env env, napi_callback_info info) {
  Attachment& own = attachment_of(env, info);
  const Image6::Address address = own.address();
  own.mailbox[4] = own.reader.lookup6(address.high, address.low);
  return nullptr;
}

napi_value match(napi_env env, napi_callback_info info) {
  Attachment& own = attachment_of(env, info);
  const Match found = own.reader.match(own.key());
  own.mailbox[4] = found.verdict_class;
  own.mailbox[5] = found.length;
  own.mailbox[6] = own.table->classes().times_taken_back();
  return nullptr;
}

napi_value run_batch(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  Batch& batch = *static_cast<Batch*>(data);
  const auto& mailbox = batch.attachment->mailbox;
  const std::size_t from = std::min<std::size_t>(mailbox[8], batch.addresses.size());
  const std::size_t count = std::min<std::size_t>(mailbox[7], batch.addresses.size() - from);
  const auto part = std::span(batch.addresses).subspan(from, count);
  batch.attachment->reader.lookup_many4(part, batch.classes.data() + from);
  return nullptr;
}

// — node-addon-api —

[[nodiscard]] const Held& held(const Napi::CallbackInfo& info) {
  return *static_cast<Held*>(info.Data());
}

[[nodiscard]] bool is_array_of(const Napi::Value& value, napi_typedarray_type type) {
  return value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == type;
}

// lookupMany(Uint32Array, Uint16Array)
Napi::Value lookup_many(const Napi::CallbackInfo& info) {
  if (is_array_of(info[0], napi_uint32_array) && is_array_of(info[1], napi_uint16_array)) {
    const auto addresses = info[0].As<Napi::Uint32Array>();
    auto classes = info[1].As<Napi::Uint16Array>();
    if (classes.ElementLength() >= addresses.ElementLength()) {
      held(info)->reader.lookup_many4({addresses.Data(), addresses.ElementLength()},
                                      classes.Data());
      return info[1];
    }
  }
  throw_argument_error(info.Env(), "lookupMany wants a Uint32Array and a Uint16Array as long");
  return info.Env().Undefined();
}

// lookupMany6(Uint32Array of four words an address, Uint16Array)
Napi::Value lookup_many6(const Napi::CallbackInfo& info) {
  if (is_array_of(info[0], napi_uint32_array) && is_array_of(info[1], napi_uint16_array)) {
    const auto words = info[0].As<Napi::Uint32Array>();
    auto classes = info[1].As<Napi::Uint16Array>();
    const std::size_t count = words.ElementLength() / 4;
    if (classes.ElementLength() >= count) {
      std::array<Image6::Address, 256> part;
      const std::uint32_t* word = words.Data();
      for (std::size_t from = 0; from < count; from += part.size()) {
        const std::size_t size = std::min(part.size(), count - from);
        for (std::size_t i = 0; i < size; ++i, word += 4) {
          part[i] = address_of(word);
        }
        held(info)->reader.lookup_many6(std::span(part).first(size), classes.Data() + from);
      }
      return info[1];
    }
  }
  throw_argument_error(info.Env(), "lookupMany6 wants four words an address and a Uint16Array");
  return info.Env().Undefined();
}

// listsOf(class) → names
Napi::Value lists_of(const Napi::CallbackInfo& info) {
  ClassTable& classes = held(info)->table->classes();
  const std::uint32_t number = info[0].ToNumber().Uint32Value();
  const ListSet set = number > verdict_classes_max
                          ? ListSet()
                          : classes.lists_of(static_cast<VerdictClass>(number));
  Napi::Array names = Napi::Array::New(info.Env(), set.size());
  for (std::uint32_t i = 0; i < set.size(); ++i) names.Set(i, classes.list_name(set[i]));
  return names;
}

// origins() of the address in the mailbox → [{ list, length, file, line, endsInMs }], or the
// TableError of the snapshot in which files and lines lie
Napi::Value origins(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Held& own = held(info);
  TableError fault = TableError::none;
  const auto all = own->reader.origins(own->key(), &fault);
  if (fault != TableError::none) return Napi::Number::New(env, static_cast<double>(fault));
  Napi::Array answer = Napi::Array::New(env, all.size());
  for (std::uint32_t i = 0; i < all.size(); ++i) {
    const Origin& one = all[i];
    Napi::Object origin = Napi::Object::New(env);
    origin.Set("list", own->table->classes().list_name(one.list));
    origin.Set("length", Napi::Number::New(env, one.length));
    origin.Set("file", one.file);
    origin.Set("line", Napi::Number::New(env, one.line));
    if (one.ends_ms != AddedPrefix::never) {
      const auto left_ms = static_cast<double>(one.ends_ms - monotonic_ms());
      origin.Set("endsInMs", Napi::Number::New(env, left_ms));
    }
    answer.Set(i, origin);
  }
  return answer;
}

[[nodiscard]] Napi::Value error_number(const Napi::CallbackInfo& info, TableError error) {
  return Napi::Number::New(info.Env(), static_cast<double>(error));
}

// publish(image) → TableError; throws for an image that is not (any more) there.
Napi::Value publish(const Napi::CallbackInfo& info) {
  auto compiled = take_compiled(info[0].ToNumber().Uint32Value());
  if (compiled) return error_number(info, held(info)->table->publish(std::move(*compiled)));
  throw_argument_error(info.Env(), "the image has been used or discarded");
  return info.Env().Undefined();
}

// add(length of 128, isIpv4, list, ttlMs or -1), the prefix in the mailbox → TableError
Napi::Value add(const Napi::CallbackInfo& info) {
  const Held& own = held(info);
  const auto length = static_cast<std::uint8_t>(info[0].ToNumber().Uint32Value());
  const std::string list = info[2].ToString().Utf8Value();
  const TableError error = own->table->add(own->key(), length, info[1].ToBoolean(), list,
                                           info[3].ToNumber().Int64Value());
  return error_number(info, error);
}

// remove(length of 128, isIpv4, list or undefined, ttlMs or -1) → TableError
Napi::Value remove(const Napi::CallbackInfo& info) {
  const Held& own = held(info);
  const auto length = static_cast<std::uint8_t>(info[0].ToNumber().Uint32Value());
  std::optional<std::string> list;
  if (info[2].IsString()) list = info[2].ToString().Utf8Value();
  const TableError error = own->table->remove(own->key(), length, info[1].ToBoolean(), list,
                                              info[3].ToNumber().Int64Value());
  return error_number(info, error);
}

Napi::Value sizes(const Napi::CallbackInfo& info) {
  const TableSizes found = held(info)->table->sizes();
  Napi::Object answer = Napi::Object::New(info.Env());
  const auto set = [&](const char* name, std::size_t value) {
    answer.Set(name, Napi::Number::New(info.Env(), static_cast<double>(value)));
  };
  set("prefixes4", found.prefixes4);
  set("prefixes6", found.prefixes6);
  set("classes", found.classes);
  set("addedPrefixes", found.added);
  set("tableBytes", found.octets);
  return answer;
}

// save(path) → '' or the reason
Napi::Value save(const Napi::CallbackInfo& info) {
  const auto image = held(info)->table->image();
  const SnapshotFault fault = save_snapshot(*image, info[0].ToString().Utf8Value());
  return Napi::String::New(info.Env(), fault.reason);
}

// — views and functions —

// A view of memory that `owner` keeps alive; null where this runtime allows no such views.
template <class Owner>
[[nodiscard]] Napi::Value view_of(Napi::Env env, void* memory, std::size_t octets, Owner owner) {
  auto* const hint = new Owner(std::move(owner));
  const auto release = [](napi_env, void*, void* held_owner) {
    delete static_cast<Owner*>(held_owner);
  };
  napi_value buffer = nullptr;
  if (napi_create_external_arraybuffer(env, memory, octets, release, hint, &buffer) != napi_ok) {
    delete hint;
    return env.Null();
  }
  return Napi::Value(env, buffer);
}

// A raw function whose data `owner` keeps alive.
template <class Owner>
[[nodiscard]] Napi::Value raw_function(Napi::Env env, napi_callback callback, void* data,
                                       Owner owner) {
  napi_value made = nullptr;
  if (napi_create_function(env, nullptr, 0, callback, data, &made) != napi_ok) return env.Null();
  auto* const hint = new Owner(std::move(owner));
  const auto release = [](napi_env, void* held_owner, void*) {
    delete static_cast<Owner*>(held_owner);
  };
  if (napi_add_finalizer(env, made, hint, release, nullptr, nullptr) != napi_ok) delete hint;
  return Napi::Value(env, made);
}

using Verb = Napi::Value (*)(const Napi::CallbackInfo&);

void set_verb(Napi::Env env, Napi::Object& into, const char* name, Verb verb, const Held& own) {
  auto* const hint = new Held(own);
  Napi::Function made = Napi::Function::New(env, verb, name, hint);
  made.AddFinalizer([](Napi::Env, Held* held_attachment) { delete held_attachment; }, hint);
  into.Set(name, made);
}

// newBatch(capacity) → { addresses, classes, run }: buffers known in advance; mailbox word 7 says
// how many of the addresses to ask, word 8 from which on.
Napi::Value new_batch(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::uint32_t capacity = info[0].ToNumber().Uint32Value();
  if (capacity == 0 || capacity > (1U << 24)) {
    throw_argument_error(env, "a batch holds 1 to 16,777,216 addresses");
    return env.Undefined();
  }
  auto batch = std::make_shared<Batch>();
  batch->attachment = held(info);
  batch->addresses.resize(capacity);
  batch->classes.resize(capacity);
  Napi::Object answer = Napi::Object::New(env);
  answer.Set("addresses", view_of(env, batch->addresses.data(), capacity * 4U, batch));
  answer.Set("classes", view_of(env, batch->classes.data(), capacity * 2U, batch));
  answer.Set("run", raw_function(env, run_batch, batch.get(), batch));
  return answer;
}

// image4() → { publication, chunks, entries, groups, meanings }: the compiled IPv4 structure of
// this moment, for JavaScript to read itself. The views hold it.
Napi::Value image4(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const HeldImage4 own = held(info)->table->hold_image4();
  Napi::Object answer = Napi::Object::New(env);
  // No view is ever written to.
  const auto set = [&](const char* name, const auto& part) {
    using Part = std::remove_const_t<typename std::remove_cvref_t<decltype(part)>::element_type>;
    answer.Set(name, view_of(env, const_cast<Part*>(part.data()), part.size_bytes(), own.owner));
  };
  set("chunks", own.image->chunks());
  set("entries", own.image->entries());
  set("groups", own.image->groups());
  set("meanings", own.meanings);
  answer.Set("publication", Napi::Number::New(env, own.publication));
  return answer;
}

}  // namespace

Napi::Value attach_table(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto table = find_shared_table(info[0].ToNumber().Uint32Value());
  if (table == nullptr) return env.Undefined();
  const auto own = std::make_shared<Attachment>(table);
  Napi::Object answer = Napi::Object::New(env);
  answer.Set("any24", view_of(env, table->any24().data(), Any24::octets, table));
  answer.Set("signals", view_of(env, table->signals().data(), TableSignals::octets, table));
  answer.Set("mailbox", view_of(env, own->mailbox.data(), sizeof own->mailbox, own));
  answer.Set("lookup4", raw_function(env, lookup4, own.get(), own));
  answer.Set("lookup6", raw_function(env, lookup6, own.get(), own));
  answer.Set("match", raw_function(env, match, own.get(), own));
  set_verb(env, answer, "image4", image4, own);
  set_verb(env, answer, "lookupMany", lookup_many, own);
  set_verb(env, answer, "lookupMany6", lookup_many6, own);
  set_verb(env, answer, "newBatch", new_batch, own);
  set_verb(env, answer, "listsOf", lists_of, own);
  set_verb(env, answer, "origins", origins, own);
  set_verb(env, answer, "publish", publish, own);
  set_verb(env, answer, "add", add, own);
  set_verb(env, answer, "remove", remove, own);
  set_verb(env, answer, "sizes", sizes, own);
  set_verb(env, answer, "save", save, own);
  return answer;
}

}  // namespace activemx
