// ListSets: the sets of lists that a sweep meets, each with a number; 0 is the empty set.
//
// Owned by one build and used by its thread alone; the finished sets go into the image. Entering a
// prefix is a step from one set to another; steps are remembered, because a real build takes
// millions of them between some hundred sets.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "core/verdict_class.hpp"

namespace activemx {

// Ascending.
using ListSet = std::vector<ListId>;

struct ListSetHash {
  [[nodiscard]] std::size_t operator()(const ListSet& set) const noexcept {
    std::uint64_t hash = set.size();
    for (const ListId list : set) hash = (hash ^ list) * 0x9e37'79b9'7f4a'7c15ULL;
    return static_cast<std::size_t>(hash ^ hash >> 32);
  }
};

class ListSets {
 public:
  ListSets();

  // The set after a prefix of `list` has been entered: with the list, or without it for an
  // exclusion. Beyond 65,535 sets the answer is 0 and overflowed() becomes true. O(1) for a
  // remembered step.
  [[nodiscard]] ImageClass enter(ImageClass set, ListId list, bool is_excluded) {
    const std::uint32_t step = std::uint32_t{set} << 16 | std::uint32_t{list} << 1 |
                               (is_excluded ? 1U : 0U);
    Remembered& recent = recent_[(step * 0x9e37'79b1U) >> 16];
    if (recent.step != step) recent = {step, slow_step(step)};
    return recent.set;
  }

  [[nodiscard]] bool overflowed() const noexcept { return overflowed_; }
  // All sets, by number. The object is used up.
  [[nodiscard]] std::vector<ListSet> take() { return std::move(sets_); }

 private:
  struct Remembered {
    std::uint32_t step;
    ImageClass set;
  };

  [[nodiscard]] ImageClass slow_step(std::uint32_t step);
  [[nodiscard]] ImageClass intern(ListSet set);

  std::vector<Remembered> recent_;  // direct mapped, 65,536
  std::unordered_map<std::uint32_t, ImageClass> steps_;
  std::unordered_map<ListSet, ImageClass, ListSetHash> numbers_;
  std::vector<ListSet> sets_;
  bool overflowed_ = false;
};

// The set with, or without, one list more.
[[nodiscard]] ListSet with_list(ListSet set, ListId list);
[[nodiscard]] ListSet without_list(ListSet set, ListId list);

}  // namespace activemx
