// Clocks in milliseconds: one that only grows, for waits; the wall clock, for records.
#pragma once

#include <cstdint>
#include <ctime>

namespace activemx {

inline std::int64_t clock_ms(clockid_t clock) noexcept {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

// The coarse clocks tick every few milliseconds and cost no system call and no barrier.
inline std::int64_t coarse_monotonic_ms() noexcept { return clock_ms(CLOCK_MONOTONIC_COARSE); }
inline std::int64_t coarse_wall_ms() noexcept { return clock_ms(CLOCK_REALTIME_COARSE); }

}  // namespace activemx
