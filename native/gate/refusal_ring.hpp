// RefusalRing: what the gate refused, in entries of one size, for the main thread to turn into
// verdict records. Bounded: a refusal that finds it full is counted, not kept.
//
// Threads: the gate pushes, the main thread takes; a mutex that is nearly never contended.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "core/ip_address.hpp"

namespace activemx {

// As src/io/native-gate.ts numbers them.
enum class RefusalCause : std::uint8_t {
  blacklist,
  early_talker,
  per_address,
  rate,
  overload,
  proxy_header,
  stopping,
};
enum class RefusalAction : std::uint8_t { refuse, tarpit, reset, drop, observe, tempfail };

inline constexpr std::size_t refusal_id_octets = 12;

// An id in two halves of 30 bits: 40 bits of wall clock, 20 of a counter. As src/io/refusal-id.ts.
struct RefusalId {
  std::uint32_t high = 0;
  std::uint32_t low = 0;

  static RefusalId make(std::int64_t wall_ms, std::uint32_t count) noexcept;
  void write(char (&text)[refusal_id_octets]) const noexcept;
};

struct RefusalEntry {
  double time_ms = 0;
  std::uint64_t address_high = 0;
  std::uint64_t address_low = 0;
  RefusalId id;
  std::uint32_t octets = 0;  // said before the greeting
  std::uint16_t port = 0;
  std::uint16_t verdict_class = 0;
  RefusalCause cause = RefusalCause::blacklist;
  RefusalAction action = RefusalAction::refuse;
  std::array<std::uint8_t, 6> spare{};
};
static_assert(sizeof(RefusalEntry) == 48);

class RefusalRing {
 public:
  explicit RefusalRing(std::size_t entries_max) : entries_(entries_max) {}

  // False: full.
  [[nodiscard]] bool push(const RefusalEntry& entry) noexcept;
  // Moves the oldest entries out; answers how many.
  std::size_t take(std::span<RefusalEntry> taken) noexcept;

 private:
  std::mutex mutex_;
  std::vector<RefusalEntry> entries_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

}  // namespace activemx
