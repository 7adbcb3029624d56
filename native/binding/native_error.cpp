// NativeError: the one shape in which the binding reports a fault of the system to JavaScript.
#include <cstring>
#include <string>

#include "binding/parts.hpp"

namespace activemx {

void throw_native_error(Napi::Env env, const char* what, int system_error) {
  const std::string message = std::string(what) + ": " + std::strerror(system_error);
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, "NATIVE_FAULT"));
  error.Set("errno", Napi::Number::New(env, system_error));
  error.ThrowAsJavaScriptException();
}

}  // namespace activemx
