// RefusalRing: see refusal_ring.hpp.
#include "gate/refusal_ring.hpp"

#include <algorithm>

namespace activemx {

RefusalId RefusalId::make(std::int64_t wall_ms, std::uint32_t count) noexcept {
  const auto clock = static_cast<std::uint64_t>(wall_ms) & 0xff'ffff'ffffULL;
  return {static_cast<std::uint32_t>(clock >> 10),
          static_cast<std::uint32_t>((clock & 0x3ff) << 20) | (count & 0xfffff)};
}

void RefusalId::write(char (&text)[refusal_id_octets]) const noexcept {
  constexpr char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";
  for (unsigned at = 0; at < 6; ++at) {
    const unsigned shift = 25 - 5 * at;
    text[at] = alphabet[high >> shift & 31];
    text[6 + at] = alphabet[low >> shift & 31];
  }
}

bool RefusalRing::push(const RefusalEntry& entry) noexcept {
  const std::lock_guard lock(mutex_);
  if (count_ == entries_.size()) return false;
  entries_[(first_ + count_) % entries_.size()] = entry;
  ++count_;
  return true;
}

std::size_t RefusalRing::take(std::span<RefusalEntry> taken) noexcept {
  const std::lock_guard lock(mutex_);
  const std::size_t count = std::min(taken.size(), count_);
  for (std::size_t at = 0; at < count; ++at) {
    taken[at] = entries_[(first_ + at) % entries_.size()];
  }
  first_ = (first_ + count) % std::max<std::size_t>(1, entries_.size());
  count_ -= count;
  return count;
}

}  // namespace activemx
