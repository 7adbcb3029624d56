// Ledger: see ledger.hpp.
#include "gate/ledger.hpp"

namespace activemx {
namespace {

constexpr std::int64_t sweep_ms = 10'000;

// IPv4 addresses take the keys of 0:ffff::/32, which is never assigned.
std::uint64_t key_of(const IpAddress& address) noexcept {
  return address.is_ipv4() ? address.low : address.high;
}

}  // namespace

Admission Ledger::admit(const IpAddress& address, const AddressLimits& limits,
                        std::int64_t now_ms, bool& is_counted) noexcept {
  is_counted = false;
  if (limits.per_address_max == 0 && limits.rate_max == 0) return Admission::admitted;
  const std::lock_guard lock(mutex_);
  if (now_ms >= next_sweep_ms_) {
    forget_old(limits.rate_window_ms, now_ms);
    next_sweep_ms_ = now_ms + sweep_ms;
  }
  auto found = counts_.find(key_of(address));
  if (found == counts_.end()) {
    if (counts_.size() >= addresses_max_) return Admission::admitted;
    found = counts_.emplace(key_of(address), Count{0, 0, now_ms}).first;
  }
  Count& count = found->second;
  if (now_ms - count.window_start_ms >= limits.rate_window_ms) {
    count.window_start_ms = now_ms;
    count.begun_in_window = 0;
  }
  ++count.begun_in_window;
  if (limits.per_address_max > 0 && count.connections >= limits.per_address_max) {
    return Admission::per_address;
  }
  if (limits.rate_max > 0 && count.begun_in_window > limits.rate_max) return Admission::rate;
  ++count.connections;
  is_counted = true;
  return Admission::admitted;
}

void Ledger::release(const IpAddress& address, bool is_counted) noexcept {
  connections_.fetch_sub(1, std::memory_order_relaxed);
  if (!is_counted) return;
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find(key_of(address));
  if (found != counts_.end() && found->second.connections > 0) --found->second.connections;
}

void Ledger::forget_old(std::int64_t rate_window_ms, std::int64_t now_ms) noexcept {
  std::erase_if(counts_, [&](const auto& entry) {
    const Count& count = entry.second;
    return count.connections == 0 && now_ms - count.window_start_ms >= rate_window_ms;
  });
}

}  // namespace activemx
