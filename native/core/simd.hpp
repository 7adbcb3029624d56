// Which vector instructions this machine has. Decided once; tests may ask for less.
#pragma once

#include <cstdint>

namespace activemx {

enum class SimdLevel : std::uint8_t { kScalar, kAvx2, kAvx512 };

// The best level of this machine. Any thread.
[[nodiscard]] inline SimdLevel best_simd() noexcept {
#if defined(__x86_64__)
  static const SimdLevel level = __builtin_cpu_supports("avx512f") ? SimdLevel::kAvx512
                                 : __builtin_cpu_supports("avx2")  ? SimdLevel::kAvx2
                                                                   : SimdLevel::kScalar;
  return level;
#else
  return SimdLevel::kScalar;
#endif
}

}  // namespace activemx
