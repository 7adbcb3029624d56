// Peer credentials of a Unix socket: who is at the other end, as the kernel noted it at connect.
//
// unix(7), SO_PEERCRED. The control socket and the TLS session daemon decide by it.
#include <sys/socket.h>

#include <cerrno>

#include "binding/parts.hpp"

namespace activemx {
namespace {

Napi::Value peer_credentials(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ucred credentials{};
  socklen_t length = sizeof credentials;
  const int fd = info[0].ToNumber().Int32Value();
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
    throw_native_error(env, "peer credentials", errno);
    return env.Undefined();
  }
  Napi::Object answer = Napi::Object::New(env);
  answer.Set("pid", Napi::Number::New(env, credentials.pid));
  answer.Set("uid", Napi::Number::New(env, credentials.uid));
  answer.Set("gid", Napi::Number::New(env, credentials.gid));
  return answer;
}

}  // namespace

void add_peer_credentials(Napi::Env env, Napi::Object exports) {
  exports.Set("peerCredentials", Napi::Function::New(env, peer_credentials, "peerCredentials"));
}

}  // namespace activemx
