// Local streams: Unix sockets in the environment's loop, for src/tls/native-local-stream.ts.
//
// A wake-up is one recv into an arena that is shared by all streams of the environment and one call
// of JavaScript with the octets' place in it; an answer is one send from JavaScript's own buffer.
// No stream object, request object or copy stands between. JavaScript's views keep an arena as long
// as they need. What is done with the descriptor stands in engine/local_socket.hpp.
//
// Ownership: a stream owns a descriptor of its own (a duplicate), and itself until its poll handle
// has closed. What waits to be sent is bounded by the credit of the protocol above. Threads: the
// environment's. When the environment ends, an asynchronous cleanup hook closes each stream, and
// the loop waits for it.
#include <napi.h>
#include <uv.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>

#include "binding/parts.hpp"
#include "engine/local_socket.hpp"

namespace activemx {
namespace {

// As src/tls/native-local-stream.ts numbers them.
enum class LocalEvent : std::uint32_t { data, drain, closed };

// What the streams of one environment share.
struct LocalInput {
  napi_ref buffer = nullptr;
  ReadArena arena;
};

struct LocalStream {
  napi_env env = nullptr;
  std::shared_ptr<LocalInput> input;
  LocalSocket socket;
  int events = 0;
  bool is_reading = true;
  bool is_closing = false;
  bool is_environment_ending = false;
  uv_poll_t poll{};
  napi_ref on_event = nullptr;
  napi_async_context context = nullptr;
  napi_async_cleanup_hook_handle hook = nullptr;
  std::shared_ptr<LocalStream> self;
};

void on_ready(uv_poll_t* poll, int status, int events);

// Level-triggered: reads while JavaScript reads, writes while octets wait.
void watch(LocalStream& stream) {
  const int wanted = (stream.is_reading ? UV_READABLE : 0) |
                     (stream.socket.has_backlog() ? UV_WRITABLE : 0);
  if (wanted == stream.events) return;
  stream.events = wanted;
  if (wanted == 0) {
    uv_poll_stop(&stream.poll);
  } else {
    uv_poll_start(&stream.poll, wanted, on_ready);
  }
}

void on_poll_closed(uv_handle_t* handle) {
  auto& stream = *static_cast<LocalStream*>(handle->data);
  // Not sooner: JavaScript may have closed the stream inside a call of this context.
  if (!stream.is_environment_ending) napi_async_destroy(stream.env, stream.context);
  napi_remove_async_cleanup_hook(stream.hook);
  stream.self.reset();
}

// Safe to call twice: by closeLocal and by the hook.
void close_stream(LocalStream& stream) {
  if (stream.is_closing) return;
  stream.is_closing = true;
  uv_poll_stop(&stream.poll);
  uv_close(reinterpret_cast<uv_handle_t*>(&stream.poll), on_poll_closed);
  stream.socket.close();  // after libuv has taken it out of its set
  if (stream.on_event != nullptr) napi_delete_reference(stream.env, stream.on_event);
  stream.on_event = nullptr;
}

void on_environment_ends(napi_async_cleanup_hook_handle /*hook*/, void* data) {
  auto& stream = *static_cast<LocalStream*>(data);
  stream.is_environment_ending = true;
  close_stream(stream);
}

// An exception of a handler is the environment's uncaught exception, as in any callback of Node.
void call_event(LocalStream& stream, LocalEvent event, std::size_t start, std::size_t end) {
  napi_env env = stream.env;
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value on_event = nullptr;
  napi_value global = nullptr;
  napi_value words[4] = {nullptr, nullptr, nullptr, nullptr};
  const bool is_ready =
      napi_get_reference_value(env, stream.on_event, &on_event) == napi_ok &&
      napi_get_global(env, &global) == napi_ok &&
      napi_create_uint32(env, static_cast<std::uint32_t>(event), &words[0]) == napi_ok &&
      napi_create_uint32(env, static_cast<std::uint32_t>(start), &words[1]) == napi_ok &&
      napi_create_uint32(env, static_cast<std::uint32_t>(end), &words[2]) == napi_ok &&
      napi_get_reference_value(env, stream.input->buffer, &words[3]) == napi_ok;
  if (is_ready) {
    const napi_status status =
        napi_make_callback(env, stream.context, global, on_event, 4, words, nullptr);
    napi_value fault = nullptr;
    if (status == napi_pending_exception &&
        napi_get_and_clear_last_exception(env, &fault) == napi_ok) {
      napi_fatal_exception(env, fault);
    }
  }
  napi_close_handle_scope(env, scope);
}

// False: no memory.
bool has_room(LocalStream& stream) {
  LocalInput& input = *stream.input;
  if (!input.arena.is_spent()) return true;
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(stream.env, &scope) != napi_ok) return false;
  napi_value buffer = nullptr;
  void* memory = nullptr;
  napi_ref next = nullptr;
  const bool is_made =
      napi_create_buffer(stream.env, ReadArena::octets, &memory, &buffer) == napi_ok &&
      napi_create_reference(stream.env, buffer, 1, &next) == napi_ok;
  if (is_made) {
    if (input.buffer != nullptr) napi_delete_reference(stream.env, input.buffer);
    input.buffer = next;
    input.arena.replace(static_cast<std::uint8_t*>(memory));
  }
  napi_close_handle_scope(stream.env, scope);
  return is_made;
}

// The peer is gone, or the connection is lost.
void tell_closed(LocalStream& stream) {
  uv_poll_stop(&stream.poll);
  stream.events = 0;
  call_event(stream, LocalEvent::closed, 0, 0);
}

// Octets that JavaScript was told of, 0 for nothing yet, −1 for the end, a loss, or no memory.
std::ptrdiff_t receive(LocalStream& stream) {
  if (!has_room(stream)) return -1;
  ReadArena& arena = stream.input->arena;
  const std::size_t start = arena.used();
  const std::ptrdiff_t got = stream.socket.receive(arena.room());
  if (got <= 0) return got;
  arena.take(static_cast<std::size_t>(got));
  call_event(stream, LocalEvent::data, start, arena.used());
  return got;
}

// A peer that closes while octets lie unread there resets the connection, and what it had said
// before is in the kernel still: an answer, maybe, that is not to be asked for twice. Who stops
// reading amid it gets the rest when he reads again.
void end_lost(LocalStream& stream) {
  uv_poll_stop(&stream.poll);
  stream.events = 0;
  const bool was_reading = stream.is_reading;
  while (!stream.is_closing && stream.is_reading && receive(stream) > 0) {
  }
  if (!stream.is_closing && stream.is_reading == was_reading) tell_closed(stream);
}

void on_ready(uv_poll_t* poll, int status, int events) {
  // Held through the calls: JavaScript may close the stream inside them.
  const std::shared_ptr<LocalStream> held = static_cast<LocalStream*>(poll->data)->self;
  LocalStream& stream = *held;
  if (stream.is_closing) return;
  if (status < 0) {
    end_lost(stream);
    return;
  }
  if ((events & UV_WRITABLE) != 0 && stream.socket.has_backlog()) {
    const LocalSocket::Sent sent = stream.socket.flush();
    if (sent == LocalSocket::Sent::lost) {
      end_lost(stream);
      return;
    }
    watch(stream);
    if (sent == LocalSocket::Sent::drained) call_event(stream, LocalEvent::drain, 0, 0);
  }
  const bool is_read = (events & UV_READABLE) != 0 && !stream.is_closing && stream.is_reading;
  if (is_read && receive(stream) < 0) tell_closed(stream);
}

using InputHandle = Napi::External<std::shared_ptr<LocalInput>>;
using StreamHandle = Napi::External<std::shared_ptr<LocalStream>>;

LocalStream& stream_of(const Napi::CallbackInfo& info) {
  return **info[0].As<StreamHandle>().Data();
}

// newLocalInput() → input
Napi::Value new_local_input(const Napi::CallbackInfo& info) {
  return InputHandle::New(info.Env(), new auto(std::make_shared<LocalInput>()),
                          [](Napi::Env, std::shared_ptr<LocalInput>* owned) { delete owned; });
}

// Fills a stream whose descriptor is open. False: no memory, or it cannot be watched.
bool start(LocalStream& stream, const Napi::CallbackInfo& info) {
  napi_env env = info.Env();
  uv_loop_t* loop = nullptr;
  stream.env = env;
  stream.input = *info[0].As<InputHandle>().Data();
  stream.poll.data = &stream;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok ||
      napi_create_reference(env, info[2], 1, &stream.on_event) != napi_ok ||
      napi_async_init(env, nullptr, Napi::String::New(env, "activemx:local-stream"),
                      &stream.context) != napi_ok ||
      napi_add_async_cleanup_hook(env, on_environment_ends, &stream, &stream.hook) != napi_ok) {
    return false;
  }
  if (uv_poll_init(loop, &stream.poll, stream.socket.fd()) == 0) return true;
  napi_remove_async_cleanup_hook(stream.hook);
  return false;
}

// openLocalStream(input, fd, onEvent) → stream: on a duplicate of fd, which the caller may close.
// onEvent(event, start, end, arena).
Napi::Value open_local_stream(const Napi::CallbackInfo& info) {
  auto stream = std::make_shared<LocalStream>();
  const int fault = stream->socket.open(info[1].ToNumber().Int32Value());
  if (fault != 0 || !start(*stream, info)) {
    throw_native_error(info.Env(), "local stream", fault != 0 ? fault : ENOMEM);
    return info.Env().Undefined();
  }
  stream->self = stream;
  watch(*stream);
  return StreamHandle::New(info.Env(), new auto(stream),
                           [](Napi::Env, std::shared_ptr<LocalStream>* owned) { delete owned; });
}

// sendLocal(stream, octets, start, end) → octets that wait. A loss is told by an event, later.
Napi::Value send_local(const Napi::CallbackInfo& info) {
  LocalStream& stream = stream_of(info);
  if (stream.is_closing) return Napi::Number::New(info.Env(), 0);
  const auto array = info[1].As<Napi::Uint8Array>();
  const std::size_t end =
      std::min<std::size_t>(info[3].As<Napi::Number>().Uint32Value(), array.ElementLength());
  const std::size_t start =
      std::min<std::size_t>(info[2].As<Napi::Number>().Uint32Value(), end);
  const std::size_t waiting = stream.socket.send({array.Data() + start, end - start});
  watch(stream);
  return Napi::Number::New(info.Env(), static_cast<double>(waiting));
}

// readLocal(stream, isReading)
void read_local(const Napi::CallbackInfo& info) {
  LocalStream& stream = stream_of(info);
  if (stream.is_closing) return;
  stream.is_reading = info[1].As<Napi::Boolean>().Value();
  watch(stream);
}

// refLocal(stream, isHeld): whether it keeps the process alive
void ref_local(const Napi::CallbackInfo& info) {
  LocalStream& stream = stream_of(info);
  if (stream.is_closing) return;
  auto* handle = reinterpret_cast<uv_handle_t*>(&stream.poll);
  if (info[1].As<Napi::Boolean>().Value()) {
    uv_ref(handle);
  } else {
    uv_unref(handle);
  }
}

// closeLocal(stream): no event comes any more
void close_local(const Napi::CallbackInfo& info) { close_stream(stream_of(info)); }

}  // namespace

void add_local_stream(Napi::Env env, Napi::Object exports) {
  exports.Set("newLocalInput", Napi::Function::New(env, new_local_input));
  exports.Set("openLocalStream", Napi::Function::New(env, open_local_stream));
  exports.Set("sendLocal", Napi::Function::New(env, send_local));
  exports.Set("readLocal", Napi::Function::New(env, read_local));
  exports.Set("refLocal", Napi::Function::New(env, ref_local));
  exports.Set("closeLocal", Napi::Function::New(env, close_local));
}

}  // namespace activemx
