// What Node cannot say to the kernel about its own process.
#include <sys/file.h>
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

// tryLock(fd) → whether nobody else has it. It ends with the descriptor, so with the process at the
// latest (flock(2)).
Napi::Value try_lock(const Napi::CallbackInfo& info) {
  const int fd = info[0].ToNumber().Int32Value();
  return Napi::Boolean::New(info.Env(), ::flock(fd, LOCK_EX | LOCK_NB) == 0);
}

}  // namespace

void add_process(Napi::Env env, Napi::Object exports) {
  exports.Set("disableCoreDumps", Napi::Function::New(env, disable_core_dumps));
  exports.Set("tryLock", Napi::Function::New(env, try_lock));
}

}  // namespace activemx
