// scanBody(chunk, start, end, state) → index * 2^24 + state, as the slow twin answers.
//
// Called once per chunk of every message: plain Node-API, no object is made.
#include "core/body_scanner.hpp"

#include "binding/parts.hpp"

namespace activemx {
namespace {

constexpr double state_span = 16'777'216.0;

bool read_arguments(napi_env env, napi_callback_info info, std::span<const std::uint8_t>& octets,
                    std::uint32_t& start, std::uint32_t& state) {
  std::size_t count = 4;
  napi_value arguments[4];
  void* data = nullptr;
  std::size_t length = 0;
  std::uint32_t end = 0;
  napi_typedarray_type type = napi_int8_array;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count != 4 ||
      napi_get_typedarray_info(env, arguments[0], &type, &length, &data, nullptr, nullptr) !=
          napi_ok ||
      napi_get_value_uint32(env, arguments[1], &start) != napi_ok ||
      napi_get_value_uint32(env, arguments[2], &end) != napi_ok ||
      napi_get_value_uint32(env, arguments[3], &state) != napi_ok) {
    return false;
  }
  if (type != napi_uint8_array || start > end || end > length) return false;
  octets = {static_cast<const std::uint8_t*>(data) + start, end - start};
  return true;
}

napi_value scan_body_call(napi_env env, napi_callback_info info) {
  static const SimdLevel level = best_simd();
  std::span<const std::uint8_t> octets;
  std::uint32_t start = 0;
  std::uint32_t state = 0;
  napi_value result = nullptr;
  if (!read_arguments(env, info, octets, start, state)) {
    napi_throw_range_error(env, "NATIVE_ARGUMENT", "scanBody(Uint8Array, start, end, state)");
    return result;
  }
  const BodyScan scan = scan_body(octets, state, level);
  const double index = static_cast<double>(start) + static_cast<double>(scan.index);
  napi_create_double(env, index * state_span + static_cast<double>(scan.state), &result);
  return result;
}

}  // namespace

void add_body_scanner(Napi::Env env, Napi::Object exports) {
  napi_value function = nullptr;
  napi_create_function(env, "scanBody", NAPI_AUTO_LENGTH, scan_body_call, nullptr, &function);
  exports.Set("scanBody", Napi::Value(env, function));
}

}  // namespace activemx
