// The addon's one entry: each part adds its own functions to the exports object.
//
// Only files of this folder may include Node headers. State that belongs to one JavaScript
// environment lives in instance data, never in globals: worker threads and reloads are safe.
#include <napi.h>

#include "binding/parts.hpp"

namespace activemx {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("napiVersion", Napi::Number::New(env, NAPI_VERSION));
  add_peer_credentials(env, exports);
  add_local_datagram(env, exports);
  add_local_stream(env, exports);
  add_process(env, exports);
  add_ip_table(env, exports);
  add_body_scanner(env, exports);
  add_engine(env, exports);
  add_gate(env, exports);
  add_refusal_lines(env, exports);
  return exports;
}

}  // namespace activemx

static Napi::Object init_addon(Napi::Env env, Napi::Object exports) {
  return activemx::init(env, exports);
}

NODE_API_MODULE(activemx, init_addon)
