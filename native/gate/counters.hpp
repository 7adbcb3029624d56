// GateCounters: what the gate has counted since it began, and what it holds now.
//
// 64 bits: a flood passes 32 within hours. Threads: the gate's counts, any thread reads; a reader
// sees each count whole, but not all of one moment.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace activemx {

// In the order of counterNames in src/io/native-gate.ts.
enum class Counter : std::size_t {
  accepted,
  passed,
  refused,
  reset,
  dropped,
  tarpitted,
  early_talkers,
  limited,
  overloaded,
  stopping,
  refusals_lost,
  tarpits,
  waiting,
  connections,
  workers,
  filtered_blocks,
  count,
};
using CounterValues = std::array<std::uint64_t, static_cast<std::size_t>(Counter::count)>;

class GateCounters {
 public:
  void add(Counter counter, std::int64_t change = 1) noexcept {
    at(counter).fetch_add(static_cast<std::uint64_t>(change), std::memory_order_relaxed);
  }
  void set(Counter counter, std::uint64_t value) noexcept {
    at(counter).store(value, std::memory_order_relaxed);
  }
  [[nodiscard]] CounterValues values() const noexcept {
    CounterValues values{};
    for (std::size_t at = 0; at < values.size(); ++at) {
      values[at] = counts_[at].load(std::memory_order_relaxed);
    }
    return values;
  }

 private:
  [[nodiscard]] std::atomic<std::uint64_t>& at(Counter counter) noexcept {
    return counts_[static_cast<std::size_t>(counter)];
  }

  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Counter::count)> counts_{};
};

}  // namespace activemx
