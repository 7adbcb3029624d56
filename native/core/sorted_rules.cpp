// Sorting of rules, see sorted_rules.hpp.
//
// Radix sort, least significant digit first, over pairs {upper bits of the start, index}: stable,
// so the passes over length and exclusion run first. A pass whose digit is the same everywhere is
// skipped; input that is sorted already (most list files are) is not sorted again. 10 M IPv4
// prefixes: 0.3 s against 1.1 s of std::sort on one core.
#include "core/sorted_rules.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

namespace activemx {
namespace {

constexpr unsigned digit_bits = 11;
constexpr std::size_t digit_values = std::size_t{1} << digit_bits;

template <class Key>
struct Item {
  Key start;
  std::uint32_t index;
};

// One stable pass by `digit_of(item)`, < digit_values. False if all digits are equal (nothing
// moved).
template <class Items, class DigitOf>
bool scatter(const Items& from, Items& into, DigitOf digit_of) {
  std::array<std::uint32_t, digit_values> places{};
  for (const auto& item : from) ++places[digit_of(item)];
  if (places[digit_of(from.front())] == from.size()) return false;
  std::uint32_t place = 0;
  for (auto& count : places) place += std::exchange(count, place);
  for (const auto& item : from) into[places[digit_of(item)]++] = item;
  return true;
}

template <class Key>
class RuleOrder {
 public:
  explicit RuleOrder(const RuleColumns& columns) : columns_(columns), items_(columns.count()) {
    for (std::uint32_t i = 0; i < items_.size(); ++i) {
      items_[i] = {key_at<Key>(columns, i) & mask_of<Key>(columns.lengths[i]), i};
    }
  }

  [[nodiscard]] const std::vector<Item<Key>>& sorted() {
    if (items_.empty() || is_sorted()) return items_;
    spare_.resize(items_.size());
    pass([this](const Item<Key>& item) { return minor_digit(item); });
    for (unsigned shift = 0; shift < key_bits<Key>; shift += digit_bits) {
      pass([shift](const Item<Key>& item) {
        return static_cast<std::size_t>(item.start >> shift) & (digit_values - 1);
      });
    }
    return items_;
  }

 private:
  // Length and exclusion, the minor part of the order: at most 128 * 2 + 1.
  [[nodiscard]] std::size_t minor_digit(const Item<Key>& item) const {
    return columns_.lengths[item.index] * 2U + (columns_.excluded[item.index] != 0 ? 1U : 0U);
  }

  template <class DigitOf>
  void pass(DigitOf digit_of) {
    if (scatter(items_, spare_, digit_of)) items_.swap(spare_);
  }

  [[nodiscard]] bool is_sorted() const {
    return std::is_sorted(items_.begin(), items_.end(), [this](const auto& a, const auto& b) {
      return a.start != b.start ? a.start < b.start : minor_digit(a) < minor_digit(b);
    });
  }

  const RuleColumns& columns_;
  std::vector<Item<Key>> items_;
  std::vector<Item<Key>> spare_;
};

}  // namespace

template <class Key>
SortedRules<Key> sort_rules(const RuleColumns& columns, Places& places) {
  RuleOrder<Key> order(columns);
  const auto& items = order.sorted();
  SortedRules<Key> rules;
  const std::size_t count = items.size();
  rules.starts.resize(count);
  rules.lengths.resize(count);
  rules.list_ids.resize(count);
  places.file_ids.resize(count);
  places.lines.resize(count);
  rules.excluded.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t from = items[i].index;
    rules.starts[i] = items[i].start;
    rules.lengths[i] = columns.lengths[from];
    rules.list_ids[i] = columns.list_ids[from];
    places.file_ids[i] = columns.file_ids[from];
    places.lines[i] = columns.lines[from];
    rules.excluded[i] = columns.excluded[from] != 0 ? 1 : 0;
  }
  link_parents(rules);
  return rules;
}

template <class Key>
void link_parents(SortedRules<Key>& rules) {
  rules.parents.resize(rules.count());
  std::uint32_t parent = no_rule;
  for (std::uint32_t i = 0; i < rules.count(); ++i) {
    while (parent != no_rule && !rules.holds(parent, rules.starts[i])) {
      parent = rules.parents[parent];
    }
    rules.parents[i] = parent;
    parent = i;
  }
}

template <class Key>
std::uint32_t SortedRules<Key>::innermost(Key address) const noexcept {
  const auto after = std::upper_bound(starts.begin(), starts.end(), address);
  if (after == starts.begin()) return no_rule;
  auto rule = static_cast<std::uint32_t>(after - starts.begin() - 1);
  while (rule != no_rule && !holds(rule, address)) rule = parents[rule];
  return rule;
}

template struct SortedRules<Key4>;
template struct SortedRules<Key6>;
template SortedRules<Key4> sort_rules<Key4>(const RuleColumns&, Places&);
template SortedRules<Key6> sort_rules<Key6>(const RuleColumns&, Places&);
template void link_parents<Key4>(SortedRules<Key4>&);
template void link_parents<Key6>(SortedRules<Key6>&);

}  // namespace activemx
