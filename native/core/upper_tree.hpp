// UpperTree: which of many ascending 64-bit keys is the last one <= x. A B+-tree without pointers.
//
// A node is eight keys, one cache line, compared by one AVX-512 instruction (two of AVX2, a loop
// without). levels_[0] holds the keys themselves; node n of a level above has the first keys of its
// children 9n + 1 … 9n + 8, so a descent counts keys <= x and computes the child's place.
// Anchor: PlanB (NSDI 2026), the linearised B+-tree; here with plain keys in the leaves.
//
// Immutable once built; any thread may read it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/simd.hpp"

namespace activemx {

class UpperTree {
 public:
  static constexpr std::size_t node_keys = 8;
  static constexpr std::size_t fan_out = node_keys + 1;
  // Descents that run side by side, so that their cache misses overlap.
  static constexpr std::size_t in_flight = 16;

  UpperTree() = default;
  // keys: ascending, without equals, at least one, the first 0.
  explicit UpperTree(std::span<const std::uint64_t> keys, SimdLevel simd = best_simd());

  // O(log9 n), no allocation.
  [[nodiscard]] std::uint32_t last_up_to(std::uint64_t x) const noexcept;
  // places[i] = last_up_to(xs[i]), for at most in_flight.
  void last_up_to_many(std::span<const std::uint64_t> xs, std::uint32_t* places) const noexcept;

  // The keys without the padding of the last node.
  [[nodiscard]] std::span<const std::uint64_t> keys() const noexcept;
  [[nodiscard]] std::size_t octets() const noexcept;

 private:
  struct alignas(64) Node {
    std::uint64_t keys[node_keys];
  };

  // nodes[i] becomes the child for xs[i]: its place times `fan_out` plus the count of keys <=
  // xs[i].
  using Step = void (*)(const Node* level, std::span<const std::uint64_t> xs,
                        std::uint32_t* nodes, std::uint32_t fan_out) noexcept;
  static void step_scalar(const Node*, std::span<const std::uint64_t>, std::uint32_t*,
                          std::uint32_t) noexcept;
  static void step_avx2(const Node*, std::span<const std::uint64_t>, std::uint32_t*,
                        std::uint32_t) noexcept;
  static void step_avx512(const Node*, std::span<const std::uint64_t>, std::uint32_t*,
                          std::uint32_t) noexcept;
  static Step step_for(SimdLevel simd) noexcept;

  std::vector<std::vector<Node>> levels_;
  std::size_t key_count_ = 0;
  Step step_ = step_scalar;
};

}  // namespace activemx
