// Local datagrams: Unix datagram sockets, which Node lacks. For /dev/log (RFC 3164 lines) and for
// the service manager's notify socket (sd_notify(3)).
//
// A send never blocks: what the receiver has no room for is refused with EAGAIN, and the caller
// counts it. The descriptor belongs to the caller, who closes it.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

#include "binding/parts.hpp"

namespace activemx {
namespace {

// `@name` is an abstract socket: a zero octet stands first (unix(7)).
bool fill_address(const std::string& path, sockaddr_un& address, socklen_t& length) {
  if (path.empty() || path.size() >= sizeof address.sun_path) return false;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path[0] == '@') address.sun_path[0] = '\0';
  const std::size_t terminator = path[0] == '@' ? 0 : 1;
  length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + terminator);
  return true;
}

Napi::Value open_local_datagram(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string path = info[0].ToString().Utf8Value();
  sockaddr_un address{};
  socklen_t length = 0;
  if (!fill_address(path, address, length)) {
    throw_native_error(env, path.c_str(), ENAMETOOLONG);
    return env.Undefined();
  }
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    const int fault = errno;
    if (fd >= 0) ::close(fd);
    throw_native_error(env, path.c_str(), fault);
    return env.Undefined();
  }
  return Napi::Number::New(env, fd);
}

Napi::Value send_local_datagram(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const int fd = info[0].ToNumber().Int32Value();
  if (!info[1].IsTypedArray()) {
    throw_native_error(env, "local datagram", EINVAL);
    return env.Undefined();
  }
  const auto octets = info[1].As<Napi::Uint8Array>();
  const ssize_t sent =
      ::send(fd, octets.Data(), octets.ByteLength(), MSG_DONTWAIT | MSG_NOSIGNAL);
  return Napi::Number::New(env, sent < 0 ? errno : 0);
}

Napi::Value close_local_datagram(const Napi::CallbackInfo& info) {
  ::close(info[0].ToNumber().Int32Value());
  return info.Env().Undefined();
}

}  // namespace

void add_local_datagram(Napi::Env env, Napi::Object exports) {
  exports.Set("openLocalDatagram", Napi::Function::New(env, open_local_datagram));
  exports.Set("sendLocalDatagram", Napi::Function::New(env, send_local_datagram));
  exports.Set("closeLocalDatagram", Napi::Function::New(env, close_local_datagram));
}

}  // namespace activemx
