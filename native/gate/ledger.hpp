// Ledger: how many connections an address has, how many it began lately, and how many there are.
//
// The key of a host is its IPv4 address or its IPv6 /64. Rates are counted in fixed windows that
// begin with an address's first connection. Bounded: an address beyond the bound is in the total
// only. Threads: any; the gate admits, engines release from their workers. Shared by gate and
// engines.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "engine/client.hpp"

namespace activemx {

// 0 = no limit.
struct AddressLimits {
  std::uint32_t per_address_max = 0;
  std::uint32_t rate_max = 0;
  std::int64_t rate_window_ms = 0;
};

enum class Admission : std::uint8_t { admitted, per_address, rate };

class Ledger final : public ClientLedger {
 public:
  explicit Ledger(std::size_t addresses_max) : addresses_max_(addresses_max) {}

  // A connection exists from accept on.
  void begin() noexcept { connections_.fetch_add(1, std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t connections() const noexcept {
    return connections_.load(std::memory_order_relaxed);
  }

  // Counts a connection to its address, unless it is one too many. `is_counted`: it holds a place.
  [[nodiscard]] Admission admit(const IpAddress& address, const AddressLimits& limits,
                                std::int64_t now_ms, bool& is_counted) noexcept;
  void release(const IpAddress& address, bool is_counted) noexcept override;

 private:
  struct Count {
    std::uint32_t connections = 0;
    std::uint32_t begun_in_window = 0;
    std::int64_t window_start_ms = 0;
  };

  void forget_old(std::int64_t rate_window_ms, std::int64_t now_ms) noexcept;

  const std::size_t addresses_max_;
  std::atomic<std::uint32_t> connections_{0};
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, Count> counts_;
  std::int64_t next_sweep_ms_ = 0;
};

}  // namespace activemx
