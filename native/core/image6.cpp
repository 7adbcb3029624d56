// Construction, lookup and checks of the IPv6 image, see image6.hpp.
#include "core/image6.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace activemx {
namespace {

[[nodiscard]] std::uint64_t high_of(Key6 key) noexcept {
  return static_cast<std::uint64_t>(key >> 64);
}
[[nodiscard]] std::uint64_t low_of(Key6 key) noexcept { return static_cast<std::uint64_t>(key); }

// Walks along the intervals, one upper half after the other.
class Image6Builder {
 public:
  explicit Image6Builder(const Intervals<Key6>& intervals) : intervals_(intervals) {
    parts_.keys.reserve(intervals.starts.size());
    parts_.values.reserve(intervals.starts.size());
  }

  [[nodiscard]] Image6Parts run() {
    const auto& starts = intervals_.starts;
    for (std::size_t from = 0; from < starts.size();) {
      const std::uint64_t high = high_of(starts[from]);
      std::size_t end = from + 1;
      while (end < starts.size() && high_of(starts[end]) == high) ++end;
      if (end - from == 1 && low_of(starts[from]) == 0) {
        cut(high, intervals_.classes[from]);
      } else {
        add_deep(high, from, end);
      }
      current_ = intervals_.classes[end - 1];
      from = end;
    }
    parts_.deep_first.push_back(static_cast<std::uint32_t>(parts_.deep_starts.size()));
    return std::move(parts_);
  }

 private:
  void add_deep(std::uint64_t high, std::size_t from, std::size_t end) {
    cut(high, Image6::deep_flag | static_cast<std::uint32_t>(parts_.deep_first.size()));
    parts_.deep_first.push_back(static_cast<std::uint32_t>(parts_.deep_starts.size()));
    if (low_of(intervals_.starts[from]) != 0) {
      parts_.deep_starts.push_back(0);
      parts_.deep_classes.push_back(current_);
    }
    for (std::size_t i = from; i < end; ++i) {
      parts_.deep_starts.push_back(low_of(intervals_.starts[i]));
      parts_.deep_classes.push_back(intervals_.classes[i]);
    }
    if (high != std::numeric_limits<std::uint64_t>::max()) {
      cut(high + 1, intervals_.classes[end - 1]);
    }
  }

  // A later cut at the same place wins.
  void cut(std::uint64_t high, std::uint32_t value) {
    if (!parts_.keys.empty() && parts_.keys.back() == high) {
      parts_.keys.pop_back();
      parts_.values.pop_back();
    }
    if (!parts_.values.empty() && parts_.values.back() == value) return;
    parts_.keys.push_back(high);
    parts_.values.push_back(value);
  }

  const Intervals<Key6>& intervals_;
  Image6Parts parts_;
  ImageClass current_ = 0;
};

// Ascending without equals, the first 0.
[[nodiscard]] bool is_cutting(std::span<const std::uint64_t> starts) noexcept {
  return !starts.empty() && starts.front() == 0 &&
         std::adjacent_find(starts.begin(), starts.end(), std::greater_equal<>()) == starts.end();
}

[[nodiscard]] bool is_sound(const Image6Parts& parts, std::size_t class_count) noexcept {
  const auto is_class = [&](std::uint32_t value) { return value < class_count; };
  const std::size_t deeps = parts.deep_first.size() - 1;
  if (parts.deep_first.empty() || parts.deep_first.front() != 0) return false;
  if (parts.deep_first.back() != parts.deep_starts.size()) return false;
  if (parts.deep_starts.size() != parts.deep_classes.size()) return false;
  if (parts.keys.size() != parts.values.size() || !is_cutting(parts.keys)) return false;
  for (std::size_t i = 0; i < deeps; ++i) {
    const std::uint32_t first = parts.deep_first[i];
    const std::uint32_t end = parts.deep_first[i + 1];
    if (end < first || end > parts.deep_starts.size()) return false;
    if (!is_cutting(std::span(parts.deep_starts).subspan(first, end - first))) return false;
  }
  const auto is_value = [&](std::uint32_t value) {
    return (value & Image6::deep_flag) == 0 ? is_class(value)
                                            : (value & ~Image6::deep_flag) < deeps;
  };
  return std::all_of(parts.values.begin(), parts.values.end(), is_value) &&
         std::all_of(parts.deep_classes.begin(), parts.deep_classes.end(), is_class);
}

}  // namespace

Image6::Image6(Image6Parts parts)
    : tree_(parts.keys),
      values_(std::move(parts.values)),
      deep_first_(std::move(parts.deep_first)),
      deep_starts_(std::move(parts.deep_starts)),
      deep_classes_(std::move(parts.deep_classes)) {
  values_.shrink_to_fit();
}

TableError Image6::build(const Intervals<Key6>& intervals, Image6& image) {
  if (intervals.starts.size() >= deep_flag) return TableError::too_large;
  image = Image6(Image6Builder(intervals).run());
  return TableError::none;
}

bool Image6::adopt(Image6Parts parts, std::size_t class_count, Image6& image) {
  if (parts.keys.size() >= deep_flag || !is_sound(parts, class_count)) return false;
  image = Image6(std::move(parts));
  return true;
}

void Image6::lookup_many(std::span<const Address> addresses, ImageClass* found) const noexcept {
  std::array<std::uint64_t, UpperTree::in_flight> highs;
  std::array<std::uint32_t, UpperTree::in_flight> places;
  for (std::size_t from = 0; from < addresses.size(); from += highs.size()) {
    const auto part = addresses.subspan(from, std::min(highs.size(), addresses.size() - from));
    for (std::size_t i = 0; i < part.size(); ++i) highs[i] = part[i].high;
    tree_.last_up_to_many(std::span(highs).first(part.size()), places.data());
    for (std::size_t i = 0; i < part.size(); ++i) __builtin_prefetch(&values_[places[i]]);
    for (std::size_t i = 0; i < part.size(); ++i) {
      found[from + i] = at_place(places[i], part[i].low);
    }
  }
}

ImageClass Image6::in_deep(std::uint32_t deep, std::uint64_t low) const noexcept {
  const auto first = deep_starts_.begin() + deep_first_[deep];
  const auto end = deep_starts_.begin() + deep_first_[deep + 1];
  return deep_classes_[static_cast<std::size_t>(std::upper_bound(first, end, low) -
                                                deep_starts_.begin() - 1)];
}

std::size_t Image6::octets() const noexcept {
  return tree_.octets() + values_.size() * sizeof(std::uint32_t) +
         deep_first_.size() * sizeof(std::uint32_t) + deep_starts_.size() * sizeof(std::uint64_t) +
         deep_classes_.size() * sizeof(ImageClass);
}

}  // namespace activemx
