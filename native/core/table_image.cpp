// Compilation, see table_image.hpp.
#include "core/table_image.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace activemx {
namespace {

// Numbers the sets by how often the IPv4 intervals use them, so that groups can name most of them
// in one octet. Returns the new number of each old one.
[[nodiscard]] std::vector<ImageClass> by_frequency(const Intervals<Key4>& intervals,
                                                   std::vector<ListSet>& sets) {
  std::vector<std::size_t> uses(sets.size());
  for (const ImageClass value : intervals.classes) ++uses[value];
  std::vector<ImageClass> order(sets.size());
  std::iota(order.begin(), order.end(), ImageClass{0});
  std::stable_sort(order.begin() + 1, order.end(),
                   [&](ImageClass a, ImageClass b) { return uses[a] > uses[b]; });
  std::vector<ImageClass> number_of(sets.size());
  std::vector<ListSet> ordered(sets.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    number_of[order[i]] = static_cast<ImageClass>(i);
    ordered[i] = std::move(sets[order[i]]);
  }
  sets = std::move(ordered);
  return number_of;
}

void renumber(std::vector<ImageClass>& classes, const std::vector<ImageClass>& number_of) {
  for (ImageClass& value : classes) value = number_of[value];
}

}  // namespace

std::shared_ptr<const TableImage> compile(const IpRules& rules, TableError& error) {
  auto image = std::make_shared<TableImage>();
  image->lists = rules.lists;
  image->files = rules.files;
  Places places4;
  Places places6;
  image->rules4 = sort_rules<Key4>(rules.v4, places4);
  image->rules6 = sort_rules<Key6>(rules.v6, places6);
  image->provenance.keep(std::move(places4), std::move(places6));
  ListSets sets;
  auto intervals4 = sweep(image->rules4, sets);
  auto intervals6 = sweep(image->rules6, sets);
  if (sets.overflowed()) {
    error = TableError::too_many_classes;
    return nullptr;
  }
  image->sets = sets.take();
  const auto number_of = by_frequency(intervals4, image->sets);
  renumber(intervals4.classes, number_of);
  renumber(intervals6.classes, number_of);
  error = Image4::build(intervals4, image->image4);
  if (error == TableError::none) error = Image6::build(intervals6, image->image6);
  return error == TableError::none ? image : nullptr;
}

}  // namespace activemx
