// Backlog: see backlog.hpp.
#include "engine/backlog.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>

namespace activemx {

bool Backlog::append(std::span<const std::uint8_t> octets) noexcept {
  if (octets.empty()) return true;
  if (octets.size() > capacity_ - end_ && !make_room(octets.size())) return false;
  std::memcpy(octets_.get() + end_, octets.data(), octets.size());
  end_ += static_cast<std::uint32_t>(octets.size());
  return true;
}

void Backlog::consume(std::size_t count) noexcept {
  begin_ += static_cast<std::uint32_t>(std::min(count, size()));
  if (begin_ == end_) clear();
}

void Backlog::clear() noexcept {
  octets_.reset();
  begin_ = end_ = capacity_ = 0;
}

// Moves what is there to the front, into a block twice as large where it does not fit: each octet
// is moved a constant number of times on average.
bool Backlog::make_room(std::size_t count) noexcept {
  const std::size_t used = size();
  const std::size_t wanted = used + count;
  if (wanted > std::numeric_limits<std::uint32_t>::max() / 2) return false;
  if (wanted <= capacity_ / 2) {
    std::memmove(octets_.get(), octets_.get() + begin_, used);
  } else {
    const std::size_t capacity = std::max<std::size_t>(4096, 2 * wanted);
    std::unique_ptr<std::uint8_t[]> larger(new (std::nothrow) std::uint8_t[capacity]);
    if (larger == nullptr) return false;
    if (used > 0) std::memcpy(larger.get(), octets_.get() + begin_, used);
    octets_ = std::move(larger);
    capacity_ = static_cast<std::uint32_t>(capacity);
  }
  begin_ = 0;
  end_ = static_cast<std::uint32_t>(used);
  return true;
}

}  // namespace activemx
