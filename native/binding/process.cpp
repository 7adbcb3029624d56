// What Node cannot say to the kernel about its own process.
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cerrno>

#include "binding/parts.hpp"

namespace activemx {
namespace {

// A core would hold mail and keys. Not dumpable also keeps other processes of the user from
// attaching (prctl(2), PR_SET_DUMPABLE).
Napi::Value disable_core_dumps(const Napi::CallbackInfo& info) {
  const rlimit none{0, 0};
  if (::setrlimit(RLIMIT_CORE, &none) != 0 || ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    throw_native_error(info.Env(), "core dumps off", errno);
  }
  return info.Env().Undefined();
}

}  // namespace

void add_process(Napi::Env env, Napi::Object exports) {
  exports.Set("disableCoreDumps", Napi::Function::New(env, disable_core_dumps));
}

}  // namespace activemx
