// Verdict classes, see class_table.hpp.
#include "core/class_table.hpp"

#include <algorithm>

namespace activemx {
namespace {

// What is asked, in the upper bits; bit 16 marks the slot as filled, the answer stands below.
[[nodiscard]] std::uint64_t question(VerdictClass from, ListId list, bool is_excluded) noexcept {
  return std::uint64_t{from} << 48 | std::uint64_t{list} << 32 |
         std::uint64_t{is_excluded ? 1U : 0U} << 17 | std::uint64_t{1} << 16;
}

}  // namespace

ClassTable::ClassTable() : classes_(1) {
  classes_[0].is_used = true;
  classes_[0].is_answered = true;
}

ListId ClassTable::list_id(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto known = list_ids_.find(name);
  if (known != list_ids_.end()) return known->second;
  if (list_names_.size() >= every_list) return every_list;
  const auto list = static_cast<ListId>(list_names_.size());
  list_names_.emplace_back(name);
  list_ids_.emplace(name, list);
  return list;
}

std::string ClassTable::list_name(ListId list) const {
  const std::lock_guard lock(mutex_);
  return list < list_names_.size() ? list_names_[list] : std::string();
}

std::vector<VerdictClass> ClassTable::adopt(std::span<const ListSet> sets,
                                            std::span<const ListId> list_ids,
                                            std::span<const VerdictClass> in_force) {
  begin_generation(in_force);
  std::vector<VerdictClass> numbers;
  numbers.reserve(sets.size());
  while (numbers.size() < sets.size()) {
    const std::lock_guard lock(mutex_);
    const std::size_t end = std::min(sets.size(), numbers.size() + adopted_at_once);
    while (numbers.size() < end) {
      const ListSet& own = sets[numbers.size()];
      ListSet set(own.size());
      std::transform(own.begin(), own.end(), set.begin(), [&](ListId id) { return list_ids[id]; });
      std::sort(set.begin(), set.end());
      const VerdictClass number = number_of(set, false);
      if (number == 0 && !set.empty()) {
        take_back_refused();
        return {};
      }
      numbers.push_back(number);
    }
  }
  return numbers;
}

void ClassTable::begin_generation(std::span<const VerdictClass> in_force) {
  const std::lock_guard lock(mutex_);
  // Until now, however many images have been refused since it was published.
  for (const VerdictClass number : in_force) classes_[number].used_in = generation_;
  ++generation_;
  // Remembered steps would keep numbers in use that are not marked so any more.
  for (auto& slot : remembered_) slot.store(0, std::memory_order_relaxed);
}

VerdictClass ClassTable::step(VerdictClass from, ListId list, bool is_excluded) {
  if (is_excluded && (list == every_list || from == 0)) return 0;
  const std::uint64_t asked = question(from, list, is_excluded);
  auto& slot = remembered_[(asked >> 16) * 0x9e37'79b9'7f4a'7c15ULL >> 52];
  const std::uint64_t found = slot.load(std::memory_order_relaxed);
  if ((found & ~std::uint64_t{0xffff}) == asked) return static_cast<VerdictClass>(found);
  const VerdictClass next = slow_step(from, list, is_excluded);
  slot.store(asked | next, std::memory_order_relaxed);
  return next;
}

VerdictClass ClassTable::slow_step(VerdictClass from, ListId list, bool is_excluded) {
  const std::lock_guard lock(mutex_);
  const ListSet& set = classes_[from].set;
  const ListSet next = is_excluded ? without_list(set, list) : with_list(set, list);
  const VerdictClass number = number_of(next, true);
  return number == 0 && !next.empty() ? from : number;
}

ListSet ClassTable::lists_of(VerdictClass verdict_class) const {
  const std::lock_guard lock(mutex_);
  return verdict_class < classes_.size() ? classes_[verdict_class].set : ListSet();
}

std::size_t ClassTable::count() const {
  const std::lock_guard lock(mutex_);
  return classes_.size() - 1;
}

VerdictClass ClassTable::number_of(const ListSet& set, bool is_answer) {
  if (set.empty()) return 0;
  const auto known = numbers_.find(set);
  if (known != numbers_.end()) {
    Numbered& one = classes_[known->second];
    one.used_in = generation_;
    one.is_answered = one.is_answered || is_answer;
    return known->second;
  }
  if (free_.empty() && classes_.size() > verdict_classes_max) take_back_unused();
  VerdictClass number = 0;
  if (!free_.empty()) {
    number = free_.back();
    free_.pop_back();
  } else if (classes_.size() <= verdict_classes_max) {
    number = static_cast<VerdictClass>(classes_.size());
    classes_.emplace_back();
  } else {
    return 0;
  }
  classes_[number] = {set, generation_, generation_, true, is_answer};
  numbers_.emplace(set, number);
  return number;
}

void ClassTable::take_back_refused() {
  for (Numbered& one : classes_) {
    if (one.is_used && one.made_in == generation_ && !one.is_answered) give_up(one);
  }
  while (!classes_.back().is_used) classes_.pop_back();
  free_.clear();
  for (std::size_t number = classes_.size() - 1; number > 0; --number) {
    if (!classes_[number].is_used) free_.push_back(static_cast<VerdictClass>(number));
  }
  times_taken_back_.fetch_add(1, std::memory_order_release);
}

void ClassTable::give_up(Numbered& one) {
  numbers_.erase(one.set);
  one = {};
}

void ClassTable::take_back_unused() {
  for (std::size_t number = 1; number < classes_.size(); ++number) {
    Numbered& one = classes_[number];
    if (!one.is_used || one.used_in + generations_kept > generation_) continue;
    give_up(one);
    free_.push_back(static_cast<VerdictClass>(number));
  }
  times_taken_back_.fetch_add(1, std::memory_order_release);
}

}  // namespace activemx
