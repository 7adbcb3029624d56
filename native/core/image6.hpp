// Image6: the compiled IPv6 prefixes: intervals of the upper 64 bits, and below them, where a /64
// is cut inside, intervals of the lower 64.
//
//   tree_.last_up_to(high)  ->  values_[place]  =  a class, or deep_flag | d
//   deep_starts_[deep_first_[d] … deep_first_[d + 1])  ascending, the first 0  ->  deep_classes_
//
// Almost all real prefixes are /64 or shorter, so that one descent of the tree answers them.
// Immutable once built; any thread may read it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/interval_sweep.hpp"
#include "core/upper_tree.hpp"
#include "core/verdict_class.hpp"

namespace activemx {

// What an Image6 consists of, for building and for the snapshot.
struct Image6Parts {
  std::vector<std::uint64_t> keys;
  std::vector<std::uint32_t> values;
  std::vector<std::uint32_t> deep_first;  // one more than there are cut /64s
  std::vector<std::uint64_t> deep_starts;
  std::vector<ImageClass> deep_classes;
};

class Image6 {
 public:
  static constexpr std::uint32_t deep_flag = 0x8000'0000;

  // An address as two numbers, first octet most significant.
  struct Address {
    std::uint64_t high;
    std::uint64_t low;
  };

  Image6() = default;
  // too_large above 2^31 intervals.
  [[nodiscard]] static TableError build(const Intervals<Key6>& intervals, Image6& image);
  // Checks every index and order: false if one is out of place.
  [[nodiscard]] static bool adopt(Image6Parts parts, std::size_t class_count, Image6& image);

  [[nodiscard]] ImageClass lookup(Address address) const noexcept {
    return at_place(tree_.last_up_to(address.high), address.low);
  }

  // found[i] = lookup(addresses[i]); UpperTree::in_flight descents side by side.
  void lookup_many(std::span<const Address> addresses, ImageClass* found) const noexcept;

  // Descends with less than the machine offers, for tests.
  void use_simd(SimdLevel simd) { tree_ = UpperTree(tree_.keys(), simd); }

  [[nodiscard]] std::size_t octets() const noexcept;
  [[nodiscard]] std::span<const std::uint64_t> keys() const noexcept { return tree_.keys(); }
  [[nodiscard]] std::span<const std::uint32_t> values() const noexcept { return values_; }
  [[nodiscard]] std::span<const std::uint32_t> deep_first() const noexcept { return deep_first_; }
  [[nodiscard]] std::span<const std::uint64_t> deep_starts() const noexcept {
    return deep_starts_;
  }
  [[nodiscard]] std::span<const ImageClass> deep_classes() const noexcept { return deep_classes_; }

 private:
  explicit Image6(Image6Parts parts);

  [[nodiscard]] ImageClass at_place(std::uint32_t place, std::uint64_t low) const noexcept {
    const std::uint32_t value = values_[place];
    return (value & deep_flag) == 0 ? static_cast<ImageClass>(value)
                                    : in_deep(value & ~deep_flag, low);
  }
  [[nodiscard]] ImageClass in_deep(std::uint32_t deep, std::uint64_t low) const noexcept;

  UpperTree tree_;
  std::vector<std::uint32_t> values_;
  std::vector<std::uint32_t> deep_first_;
  std::vector<std::uint64_t> deep_starts_;
  std::vector<ImageClass> deep_classes_;
};

}  // namespace activemx
