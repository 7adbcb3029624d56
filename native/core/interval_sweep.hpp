// The sweep: sorted prefixes become elementary intervals, each with the set of lists that hold it.
//
// The whole key space is cut where the answer changes; an interval ends where the next begins.
// Prefixes nest, so a stack of those that are open suffices, and the set of the innermost is the
// answer: each prefix steps from its parent's set, hence the longest entry of a list decides for
// that list and no list hides another.
#pragma once

#include <vector>

#include "core/list_sets.hpp"
#include "core/sorted_rules.hpp"

namespace activemx {

// starts[0] is 0; starts ascend; neighbours have different classes. Equally long.
template <class Key>
struct Intervals {
  std::vector<Key> starts;
  std::vector<ImageClass> classes;
};

// O(n). The numbers of sets are renumbered by nobody: they are those of `sets`.
template <class Key>
[[nodiscard]] Intervals<Key> sweep(const SortedRules<Key>& rules, ListSets& sets);

}  // namespace activemx
