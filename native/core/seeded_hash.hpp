// A hash of addresses that strangers choose: who does not know the seed cannot make them collide.
//
// Two folded multiplications of 128 bits (wyhash, Wang Yi 2019), each operand mixed with a part of
// the seed. Any thread. Not for keys that leave the process: the seed is new in each.
#pragma once

#include <sys/random.h>

#include <array>
#include <cstdint>

#include "core/ip_rules.hpp"

namespace activemx {

using HashSeed = std::array<std::uint64_t, 3>;

// From the kernel; blocks only before the kernel's generator is ready, early at boot.
[[nodiscard]] inline HashSeed random_hash_seed() noexcept {
  HashSeed seed{};
  auto* const octets = reinterpret_cast<unsigned char*>(seed.data());
  // Up to 256 octets come whole or not at all; the only failure left is an interrupted wait.
  while (::getrandom(octets, sizeof seed, 0) != static_cast<ssize_t>(sizeof seed)) {}
  return seed;
}

// All 64 bits are good. O(1).
[[nodiscard]] constexpr std::uint64_t seeded_hash(Key6 key, std::uint64_t kind,
                                                  const HashSeed& seed) noexcept {
  const auto folded = [](std::uint64_t a, std::uint64_t b) {
    const Key6 product = static_cast<Key6>(a) * b;
    return static_cast<std::uint64_t>(product >> 64) ^ static_cast<std::uint64_t>(product);
  };
  const std::uint64_t mixed = folded(static_cast<std::uint64_t>(key >> 64) ^ seed[0],
                                     static_cast<std::uint64_t>(key) ^ seed[1]);
  return folded(mixed ^ seed[2], kind + 0x9e37'79b9'7f4a'7c15ULL);
}

}  // namespace activemx
