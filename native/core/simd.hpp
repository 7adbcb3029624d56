// Which vector instructions this machine has. Decided once; tests may ask for less.
#pragma once

#include <cstdint>

namespace activemx {

enum class SimdLevel : std::uint8_t { scalar, avx2, avx512 };

// The best level of this machine. Any thread.
[[nodiscard]] inline SimdLevel best_simd() noexcept {
#if defined(__x86_64__)
  static const SimdLevel level = __builtin_cpu_supports("avx512f") ? SimdLevel::avx512
                                 : __builtin_cpu_supports("avx2")  ? SimdLevel::avx2
                                                                   : SimdLevel::scalar;
  return level;
#else
  return SimdLevel::scalar;
#endif
}

}  // namespace activemx
