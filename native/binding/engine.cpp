// The socket engine in JavaScript: newEngine(buffers, limits, onEvents) and its calls by handle.
//
// One uv_poll of the environment's loop watches the engine's epoll set. A wake-up without events
// (the half-second sweep) does not reach JavaScript. When the environment ends, whatever ends it,
// an asynchronous cleanup hook shuts the engine under the lock that the gates use and then closes
// the poll handle: the loop waits for that.
#include <napi.h>
#include <uv.h>

#include <memory>

#include "binding/parts.hpp"
#include "engine/engine.hpp"
#include "engine/registry.hpp"

namespace activemx {
namespace {

// Shared by the JavaScript handle and the loop, which holds it until the poll handle has closed.
struct Host {
  napi_env env = nullptr;
  std::shared_ptr<Engine> engine;
  std::uint32_t token = 0;
  uv_poll_t poll{};
  napi_ref on_events = nullptr;
  napi_ref buffers = nullptr;  // keeps the shared memory alive
  napi_async_context context = nullptr;
  napi_async_cleanup_hook_handle hook = nullptr;
  bool is_closing = false;
  bool is_environment_ending = false;
  std::shared_ptr<Host> self;
};

// An exception of a handler is the environment's uncaught exception, as in any callback of Node.
void call_events(Host& host, std::size_t events) {
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(host.env, &scope) != napi_ok) return;
  napi_value on_events = nullptr;
  napi_value global = nullptr;
  napi_value count = nullptr;
  const bool is_ready = napi_get_reference_value(host.env, host.on_events, &on_events) == napi_ok &&
                        napi_get_global(host.env, &global) == napi_ok &&
                        napi_create_uint32(host.env, static_cast<std::uint32_t>(events),
                                           &count) == napi_ok;
  if (is_ready) {
    const napi_status status = napi_make_callback(host.env, host.context, global, on_events, 1,
                                                  &count, nullptr);
    napi_value fault = nullptr;
    if (status == napi_pending_exception &&
        napi_get_and_clear_last_exception(host.env, &fault) == napi_ok) {
      napi_fatal_exception(host.env, fault);
    }
  }
  napi_close_handle_scope(host.env, scope);
}

void on_readable(uv_poll_t* poll, int status, int /*events*/) {
  Host& host = *static_cast<Host*>(poll->data);
  if (status < 0 || host.is_closing) return;
  const std::size_t events = host.engine->collect();
  if (events > 0) call_events(host, events);
}

void on_poll_closed(uv_handle_t* handle) {
  Host& host = *static_cast<Host*>(handle->data);
  // Not sooner: JavaScript may have closed the engine inside a call of this context.
  if (!host.is_environment_ending) {
    napi_async_destroy(host.env, host.context);
    napi_delete_reference(host.env, host.on_events);
    napi_delete_reference(host.env, host.buffers);
  }
  napi_remove_async_cleanup_hook(host.hook);
  host.self.reset();
}

// Safe to call twice: by closeEngine and by the hook.
void close_host(Host& host) {
  if (host.is_closing) return;
  host.is_closing = true;
  forget_engine(host.token);
  uv_poll_stop(&host.poll);
  uv_close(reinterpret_cast<uv_handle_t*>(&host.poll), on_poll_closed);
  host.engine->shut();  // last: libuv takes the descriptor out of its own set before it is closed
}

void on_environment_ends(napi_async_cleanup_hook_handle /*hook*/, void* data) {
  Host& host = *static_cast<Host*>(data);
  host.is_environment_ending = true;
  close_host(host);
}

using Handle = Napi::External<std::shared_ptr<Host>>;

Host& host_of(const Napi::CallbackInfo& info) { return **info[0].As<Handle>().Data(); }

template <typename Array>
auto span_of(const Napi::Object& buffers, const char* name) {
  Array array = buffers.Get(name).As<Array>();
  return std::span(array.Data(), array.ElementLength());
}

EngineBuffers buffers_of(const Napi::Object& buffers) {
  return {span_of<Napi::Uint8Array>(buffers, "input"),
          span_of<Napi::Uint8Array>(buffers, "output"),
          span_of<Napi::Int32Array>(buffers, "events"),
          span_of<Napi::Int32Array>(buffers, "operations"),
          span_of<Napi::Int32Array>(buffers, "backlogs")};
}

EngineLimits limits_of(const Napi::Object& limits) {
  const auto number = [&](const char* name) { return limits.Get(name).ToNumber(); };
  return {number("backlogLowOctets").Uint32Value(), number("backlogHighOctets").Uint32Value(),
          number("backlogOctetsMax").Uint32Value(), number("lingerMs").Int64Value(),
          number("doneLingerMs").Int64Value(),
          number("closeFlushMs").Int64Value()};
}

// newEngine(buffers, limits, onEvents) → handle
Napi::Value new_engine(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto buffers = info[0].As<Napi::Object>();
  int system_error = 0;
  auto engine = Engine::create(limits_of(info[1].As<Napi::Object>()), buffers_of(buffers),
                               system_error);
  uv_loop_t* loop = nullptr;
  if (engine == nullptr || napi_get_uv_event_loop(env, &loop) != napi_ok) {
    throw_native_error(env, "socket engine", system_error);
    return env.Undefined();
  }
  auto host = std::make_shared<Host>();
  host->env = env;
  host->engine = engine;
  host->poll.data = host.get();
  const bool is_made =
      napi_create_reference(env, info[2], 1, &host->on_events) == napi_ok &&
      napi_create_reference(env, info[0], 1, &host->buffers) == napi_ok &&
      napi_async_init(env, nullptr, Napi::String::New(env, "activemx:engine"), &host->context) ==
          napi_ok &&
      napi_add_async_cleanup_hook(env, on_environment_ends, host.get(), &host->hook) == napi_ok;
  // Last: what the loop knows must be closed in it.
  if (!is_made || uv_poll_init(loop, &host->poll, engine->descriptor()) != 0) {
    if (host->hook != nullptr) napi_remove_async_cleanup_hook(host->hook);
    throw_native_error(env, "socket engine", ENOMEM);
    return env.Undefined();
  }
  host->self = host;
  uv_poll_start(&host->poll, UV_READABLE, on_readable);
  host->token = register_engine(engine);
  return Handle::New(env, new std::shared_ptr<Host>(host),
                     [](Napi::Env, std::shared_ptr<Host>* owned) { delete owned; });
}

Napi::Value engine_token(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), host_of(info).token);
}

// executeOperations(handle, count) → events that wait
Napi::Value execute_operations(const Napi::CallbackInfo& info) {
  const std::uint32_t count = info[1].As<Napi::Number>().Uint32Value();
  return Napi::Number::New(info.Env(),
                           static_cast<double>(host_of(info).engine->execute(count)));
}

// nextEvents(handle, operations) → events listed, once the operations are carried out
Napi::Value next_events(const Napi::CallbackInfo& info) {
  Engine& engine = *host_of(info).engine;
  engine.execute(info[1].As<Napi::Number>().Uint32Value());
  return Napi::Number::New(info.Env(), static_cast<double>(engine.collect()));
}

// connectSocket(handle, address, port, timeoutMs, name): fills name with slot and generation
Napi::Value connect_socket(const Napi::CallbackInfo& info) {
  Endpoint to;
  const std::string address = info[1].As<Napi::String>();
  to.port = static_cast<std::uint16_t>(info[2].As<Napi::Number>().Uint32Value());
  if (!read_address(address.c_str(), to.address)) {
    throw_native_error(info.Env(), address.c_str(), EAFNOSUPPORT);
    return info.Env().Undefined();
  }
  const SlotName name =
      host_of(info).engine->connect(to, info[3].As<Napi::Number>().Int64Value());
  auto written = info[4].As<Napi::Int32Array>();
  written.Data()[0] = static_cast<std::int32_t>(name.slot);
  written.Data()[1] = static_cast<std::int32_t>(name.generation);
  return info.Env().Undefined();
}

SlotName name_of(const Napi::CallbackInfo& info, std::size_t at = 1) {
  return {info[at].As<Napi::Number>().Uint32Value(),
          info[at + 1].As<Napi::Number>().Uint32Value()};
}

// sendOctets(handle, slot, generation, octets)
void send_octets(const Napi::CallbackInfo& info) {
  const auto octets = info[3].As<Napi::Uint8Array>();
  host_of(info).engine->send(name_of(info), {octets.Data(), octets.ByteLength()});
}

// passOctets(handle, source slot and generation, target slot and generation, scanState, octetsMax)
void pass_octets(const Napi::CallbackInfo& info) {
  const auto octets_max = static_cast<std::uint64_t>(info[6].As<Napi::Number>().DoubleValue());
  host_of(info).engine->pass(name_of(info, 1), name_of(info, 3),
                             info[5].As<Napi::Number>().Uint32Value(), octets_max);
}

// octetsInKernel(handle, slot, generation)
Napi::Value octets_in_kernel(const Napi::CallbackInfo& info) {
  const std::size_t octets = host_of(info).engine->octets_in_kernel(name_of(info));
  return Napi::Number::New(info.Env(), static_cast<double>(octets));
}

// detachSocket(handle, slot, generation, rest) → descriptor or -1; rest[0] = octets left in output
Napi::Value detach_socket(const Napi::CallbackInfo& info) {
  std::size_t rest = 0;
  const int fd = host_of(info).engine->detach(name_of(info), rest);
  info[3].As<Napi::Int32Array>().Data()[0] = static_cast<std::int32_t>(rest);
  return Napi::Number::New(info.Env(), fd);
}

// releaseDetached(handle, slot, generation)
void release_detached(const Napi::CallbackInfo& info) {
  Host& host = host_of(info);
  if (!host.is_closing) host.engine->release_detached(name_of(info));
}

// setClientDeadline(handle, milliseconds)
void set_client_deadline(const Napi::CallbackInfo& info) {
  host_of(info).engine->set_client_deadline(info[1].As<Napi::Number>().Int64Value());
}

void stop_engine(const Napi::CallbackInfo& info) { host_of(info).engine->stop(); }

void close_engine(const Napi::CallbackInfo& info) { close_host(host_of(info)); }

Napi::Value engine_connections(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), host_of(info).engine->connections());
}

}  // namespace

void add_engine(Napi::Env env, Napi::Object exports) {
  exports.Set("newEngine", Napi::Function::New(env, new_engine));
  exports.Set("engineToken", Napi::Function::New(env, engine_token));
  exports.Set("nextEvents", Napi::Function::New(env, next_events));
  exports.Set("executeOperations", Napi::Function::New(env, execute_operations));
  exports.Set("connectSocket", Napi::Function::New(env, connect_socket));
  exports.Set("sendOctets", Napi::Function::New(env, send_octets));
  exports.Set("passOctets", Napi::Function::New(env, pass_octets));
  exports.Set("octetsInKernel", Napi::Function::New(env, octets_in_kernel));
  exports.Set("detachSocket", Napi::Function::New(env, detach_socket));
  exports.Set("releaseDetached", Napi::Function::New(env, release_detached));
  exports.Set("setClientDeadline", Napi::Function::New(env, set_client_deadline));
  exports.Set("stopEngine", Napi::Function::New(env, stop_engine));
  exports.Set("closeEngine", Napi::Function::New(env, close_engine));
  exports.Set("engineConnections", Napi::Function::New(env, engine_connections));
}

}  // namespace activemx
