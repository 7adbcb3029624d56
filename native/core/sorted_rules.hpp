// SortedRules: the prefixes of one family in the order of a sweep.
//
// It is the input of the sweep, and it names the entries around an address: entry p's parent is
// the nearest entry before it whose prefix holds p's, so that all of them are found by one binary
// search and a walk up. File and line of each are its provenance (provenance.hpp). Immutable once
// built; any thread may read it.
#pragma once

#include <cstdint>
#include <vector>

#include "core/ip_rules.hpp"
#include "core/provenance.hpp"

namespace activemx {

inline constexpr std::uint32_t no_rule = 0xffff'ffff;

// Order: start, then length, then exclusions after others, then input order.
template <class Key>
struct SortedRules {
  std::vector<Key> starts;
  std::vector<std::uint8_t> lengths;
  std::vector<std::uint16_t> list_ids;
  std::vector<std::uint8_t> excluded;
  std::vector<std::uint32_t> parents;  // no_rule = none

  [[nodiscard]] std::size_t count() const noexcept { return starts.size(); }

  [[nodiscard]] bool holds(std::uint32_t rule, Key address) const noexcept {
    return ((address ^ starts[rule]) & mask_of<Key>(lengths[rule])) == 0;
  }

  // The last of the longest entries around the address, or no_rule; the others are its ancestors.
  // O(log n + nesting), no allocation.
  [[nodiscard]] std::uint32_t innermost(Key address) const noexcept;
};

// Sorts and links; `places` becomes file and line by rule.
// O(n) for IPv4 (radix sort), O(n log n) at worst for IPv6.
template <class Key>
[[nodiscard]] SortedRules<Key> sort_rules(const RuleColumns& columns, Places& places);

// Fills `parents` from the other columns.
template <class Key>
void link_parents(SortedRules<Key>& rules);

extern template struct SortedRules<Key4>;
extern template struct SortedRules<Key6>;

}  // namespace activemx
