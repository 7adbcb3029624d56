// Interned sets of lists, see list_sets.hpp.
#include "core/list_sets.hpp"

#include <algorithm>
#include <utility>

namespace activemx {
namespace {

constexpr std::size_t recent_slots = 65'536;
// No step: lists are fewer than 32,768, so the bits below the set are never all ones.
constexpr std::uint32_t no_step = 0xffff'ffff;

}  // namespace

ListSets::ListSets() : recent_(recent_slots, Remembered{no_step, 0}) {
  sets_.emplace_back();
  numbers_.emplace(ListSet{}, ImageClass{0});
}

ImageClass ListSets::slow_step(std::uint32_t step) {
  const auto known = steps_.find(step);
  if (known != steps_.end()) return known->second;
  const ListSet& set = sets_[step >> 16];
  const auto list = static_cast<ListId>(step >> 1 & 0x7fff);
  const bool is_excluded = (step & 1) != 0;
  const ImageClass next = intern(is_excluded ? without_list(set, list) : with_list(set, list));
  steps_.emplace(step, next);
  return next;
}

ImageClass ListSets::intern(ListSet set) {
  const auto known = numbers_.find(set);
  if (known != numbers_.end()) return known->second;
  if (sets_.size() > verdict_classes_max) {
    overflowed_ = true;
    return 0;
  }
  const auto number = static_cast<ImageClass>(sets_.size());
  numbers_.emplace(set, number);
  sets_.push_back(std::move(set));
  return number;
}

ListSet with_list(ListSet set, ListId list) {
  const auto place = std::lower_bound(set.begin(), set.end(), list);
  if (place == set.end() || *place != list) set.insert(place, list);
  return set;
}

ListSet without_list(ListSet set, ListId list) {
  const auto place = std::lower_bound(set.begin(), set.end(), list);
  if (place != set.end() && *place == list) set.erase(place);
  return set;
}

}  // namespace activemx
