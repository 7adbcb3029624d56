// Slab: see connection.hpp.
#include "engine/connection.hpp"

#include <new>

namespace activemx {

std::uint32_t Slab::allocate() noexcept {
  if (!free_.empty()) {
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    return slot;
  }
  const std::uint32_t slot = used_.load(std::memory_order_relaxed);
  if (slot == slots_max) return none;
  auto& block = blocks_[slot / block_slots];
  if (block == nullptr) {
    block.reset(new (std::nothrow) Block);
    if (block == nullptr) return none;
    free_.reserve(free_.capacity() + block_slots);
  }
  used_.store(slot + 1, std::memory_order_release);
  return slot;
}

void Slab::release(std::uint32_t slot) noexcept {
  Connection& connection = at(slot);
  const std::uint32_t generation = (connection.generation + 1) & 0x7fffffff;
  connection = Connection{};
  connection.generation = generation;
  free_.push_back(slot);
}

}  // namespace activemx
