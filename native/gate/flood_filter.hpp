// FloodFilter: drops the busiest listed blocks below accept, by a filter on the listening sockets.
//
// Every client that a `drop` rule catches is noted. Once a second the addresses that came often are
// entered; a whole /24 takes one entry where every address of it would be dropped. The filter lets
// one source port in 64 through, so that the gate still sees whether the flood goes on: each of
// those stands for 64. A block that nobody came from for a while, or that the lists no longer
// hold, leaves.
//
// Threads: the gate's only. Classic BPF: at most 4,096 instructions, this uses at most 9 a block.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <functional>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/ip_address.hpp"

namespace activemx {

class FloodFilter {
 public:
  static constexpr std::size_t blocks_max = 256;
  static constexpr std::size_t noted_max = 16'384;    // addresses in a second; above: not noted
  static constexpr std::uint32_t entry_clients = 32;  // in a second, to be entered
  static constexpr std::int64_t quiet_ms = 10'000;    // without a client, to leave
  static constexpr std::uint32_t sample = 64;

  // Would a client of this address be dropped by the lists as they are now?
  using IsDropped = std::function<bool(const IpAddress&)>;

  // A client of a dropped address came through accept; answers for how many it stands.
  std::uint32_t note(const IpAddress& address, std::int64_t now_ms);
  // Once a second. True: `program` has changed and must be attached again.
  [[nodiscard]] bool revise(std::int64_t now_ms, const IsDropped& is_dropped);
  [[nodiscard]] std::size_t blocks() const noexcept { return blocks_.size(); }
  // The filter for listeners of a family; empty: none needed. Valid until the next revise.
  [[nodiscard]] std::span<const sock_filter> program(bool is_ipv4) const noexcept {
    return is_ipv4 ? program4_ : program6_;
  }

 private:
  struct Block {
    IpAddress start;
    std::uint8_t bits;  // 24 or 32 of IPv4, 128 of IPv6
    std::int64_t last_seen_ms;
  };
  struct Noted {
    IpAddress address;
    std::uint32_t clients;
  };

  [[nodiscard]] Block* find(const IpAddress& address) noexcept;
  [[nodiscard]] bool leave(std::int64_t now_ms, const IsDropped& is_dropped);
  [[nodiscard]] bool enter(std::int64_t now_ms, const IsDropped& is_dropped);
  void compile();

  std::vector<Block> blocks_;
  std::unordered_map<std::uint64_t, Noted> noted_;
  std::vector<sock_filter> program4_;
  std::vector<sock_filter> program6_;
};

}  // namespace activemx
