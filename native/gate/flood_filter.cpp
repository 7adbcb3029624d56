// FloodFilter: see flood_filter.hpp.
#include "gate/flood_filter.hpp"

#include <algorithm>

namespace activemx {
namespace {

constexpr std::uint32_t block24_mask = 0xffff'ff00;

bool holds(const IpAddress& start, std::uint8_t bits, const IpAddress& address) noexcept {
  if (bits != 24) return start == address;
  return address.is_ipv4() && (address.ipv4() & block24_mask) == start.ipv4();
}

bool is_whole_block_dropped(std::uint32_t start, const FloodFilter::IsDropped& is_dropped) {
  for (std::uint32_t host = 0; host < 256; ++host) {
    if (!is_dropped(IpAddress::from_ipv4(start | host))) return false;
  }
  return true;
}

bool is_still_dropped(const IpAddress& start, std::uint8_t bits,
                      const FloodFilter::IsDropped& is_dropped) {
  return bits == 24 ? is_whole_block_dropped(start.ipv4(), is_dropped) : is_dropped(start);
}

std::uint64_t key_of(const IpAddress& address) noexcept {
  return address.high * 0x9e37'79b9'7f4a'7c15ULL ^ address.low;
}

sock_filter statement(int code, std::uint32_t value) noexcept {
  return {static_cast<std::uint16_t>(code), 0, 0, value};
}

// Goes on `skip` instructions further if the loaded word is another.
sock_filter unless_equal(std::uint32_t value, std::uint8_t skip) noexcept {
  return {BPF_JMP | BPF_JEQ | BPF_K, 0, skip, value};
}

// A word of the network header: the filter of a TCP socket begins at the TCP header.
sock_filter load_network_word(int offset) noexcept {
  return statement(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(SKF_NET_OFF + offset));
}

// Every match jumps here: one source port in `sample` passes, always the same ones, so that a
// connection passes whole or not at all.
void end_program(std::vector<sock_filter>& program) {
  program.push_back(statement(BPF_RET | BPF_K, UINT32_MAX));
  const auto verdict = static_cast<std::uint32_t>(program.size());
  program.push_back(statement(BPF_LD | BPF_H | BPF_ABS, 0));
  program.push_back(statement(BPF_ALU | BPF_AND | BPF_K, FloodFilter::sample - 1));
  program.push_back(unless_equal(0, 1));
  program.push_back(statement(BPF_RET | BPF_K, UINT32_MAX));
  program.push_back(statement(BPF_RET | BPF_K, 0));
  for (std::uint32_t at = 0; at < verdict; ++at) {
    if (program[at].code == (BPF_JMP | BPF_JA)) program[at].k = verdict - at - 1;
  }
}

}  // namespace

std::uint32_t FloodFilter::note(const IpAddress& address, std::int64_t now_ms) {
  if (Block* block = find(address)) {
    block->last_seen_ms = now_ms;
    return sample;
  }
  const auto found = noted_.find(key_of(address));
  if (found != noted_.end()) {
    ++found->second.clients;
  } else if (noted_.size() < noted_max) {
    noted_.emplace(key_of(address), Noted{address, 1});
  }
  return 1;
}

FloodFilter::Block* FloodFilter::find(const IpAddress& address) noexcept {
  const auto found = std::find_if(blocks_.begin(), blocks_.end(), [&](const Block& block) {
    return holds(block.start, block.bits, address);
  });
  return found == blocks_.end() ? nullptr : &*found;
}

bool FloodFilter::revise(std::int64_t now_ms, const IsDropped& is_dropped) {
  const bool has_left = leave(now_ms, is_dropped);
  const bool has_entered = enter(now_ms, is_dropped);
  noted_.clear();
  if (!has_left && !has_entered) return false;
  compile();
  return true;
}

bool FloodFilter::leave(std::int64_t now_ms, const IsDropped& is_dropped) {
  return std::erase_if(blocks_, [&](const Block& block) {
           return now_ms - block.last_seen_ms >= quiet_ms ||
                  !is_still_dropped(block.start, block.bits, is_dropped);
         }) > 0;
}

// Busiest first. The clients of a /24 count together where the lists hold all of it.
bool FloodFilter::enter(std::int64_t now_ms, const IsDropped& is_dropped) {
  std::unordered_map<std::uint32_t, std::uint32_t> by_block24;
  for (const auto& [key, noted] : noted_) {
    if (noted.address.is_ipv4()) by_block24[noted.address.ipv4() & block24_mask] += noted.clients;
  }
  std::vector<std::pair<std::uint32_t, Block>> candidates;
  for (const auto& [start, clients] : by_block24) {
    if (clients < entry_clients || !is_whole_block_dropped(start, is_dropped)) continue;
    candidates.push_back({clients, Block{IpAddress::from_ipv4(start), 24, now_ms}});
  }
  for (const auto& [key, noted] : noted_) {
    if (noted.clients < entry_clients || !is_dropped(noted.address)) continue;
    const std::uint8_t bits = noted.address.is_ipv4() ? 32 : 128;
    candidates.push_back({noted.clients, Block{noted.address, bits, now_ms}});
  }
  std::sort(candidates.begin(), candidates.end(),
            [](const auto& one, const auto& other) { return one.first > other.first; });
  const std::size_t before = blocks_.size();
  for (const auto& [clients, block] : candidates) {
    if (blocks_.size() == blocks_max) break;
    if (find(block.start) == nullptr) blocks_.push_back(block);
  }
  return blocks_.size() > before;
}

void FloodFilter::compile() {
  program4_.clear();
  program6_.clear();
  const sock_filter to_verdict = statement(BPF_JMP | BPF_JA, 0);
  // IPv4 header: the source address stands at octet 12; IPv6: at octet 8.
  for (const std::uint8_t bits : {std::uint8_t{32}, std::uint8_t{24}}) {
    bool is_loaded = false;
    for (const Block& block : blocks_) {
      if (block.bits != bits) continue;
      if (!is_loaded) program4_.push_back(load_network_word(12));
      if (!is_loaded && bits == 24) {
        program4_.push_back(statement(BPF_ALU | BPF_AND | BPF_K, block24_mask));
      }
      is_loaded = true;
      program4_.push_back(unless_equal(block.start.ipv4(), 1));
      program4_.push_back(to_verdict);
    }
  }
  for (const Block& block : blocks_) {
    if (block.bits != 128) continue;
    const std::uint32_t words[] = {static_cast<std::uint32_t>(block.start.high >> 32),
                                   static_cast<std::uint32_t>(block.start.high),
                                   static_cast<std::uint32_t>(block.start.low >> 32),
                                   static_cast<std::uint32_t>(block.start.low)};
    for (int word = 0; word < 4; ++word) {
      program6_.push_back(load_network_word(8 + 4 * word));
      program6_.push_back(unless_equal(words[word], static_cast<std::uint8_t>(7 - 2 * word)));
    }
    program6_.push_back(to_verdict);
  }
  if (!program4_.empty()) end_program(program4_);
  if (!program6_.empty()) end_program(program6_);
}

}  // namespace activemx
