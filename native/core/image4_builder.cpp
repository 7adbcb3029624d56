// Construction of the IPv4 image from elementary intervals, see image4.hpp.
//
// One pass over the chunks in address order; `next_` walks along the intervals. O(intervals +
// chunks).
#include <algorithm>

#include "core/image4.hpp"

namespace activemx {

class Image4Builder {
 public:
  Image4Builder(const Intervals<Key4>& intervals, Image4& image)
      : intervals_(intervals), image_(image), shared_(shared_slots, no_group) {
    image_.chunks_.resize(Image4::chunk_count);
    image_.entries_.clear();
    image_.entries_.reserve(Image4::chunk_count + intervals.starts.size() / 2);
    image_.groups_.clear();
  }

  [[nodiscard]] TableError run() {
    for (std::uint32_t at = 0; at < Image4::chunk_count; ++at) {
      add_chunk(at);
      if (image_.groups_.size() > Image4::offset_mask - group_octets_max) {
        return TableError::too_large;
      }
    }
    image_.groups_.insert(image_.groups_.end(), Image4::tail_octets, 0);
    image_.groups_.shrink_to_fit();
    image_.entries_.shrink_to_fit();
    return TableError::none;
  }

 private:
  static constexpr std::size_t group_octets_max = 1 + 255 + 256 * 2;
  static constexpr std::size_t shared_octets_max = 16;  // of a group that is worth a comparison
  static constexpr std::size_t shared_slots = std::size_t{1} << 16;
  static constexpr std::uint32_t no_group = 0xffff'ffff;
  static constexpr std::uint32_t no_block = std::uint32_t{1} << 24;

  void add_chunk(std::uint32_t at) {
    Image4::Chunk& chunk = image_.chunks_[at];
    chunk = {0, static_cast<std::uint32_t>(image_.entries_.size()), 0};
    const std::uint32_t first_block = at * 64;
    for (std::uint32_t block = 0; block < 64;) {
      const std::uint32_t cut_block = next_cut_block();
      const bool is_cut = cut_block == first_block + block;
      const std::uint32_t entry = is_cut ? cut_entry(cut_block) : current_;
      if (chunk.changes == 0 || image_.entries_.back() != entry) {
        chunk.changes |= std::uint64_t{1} << block;
        image_.entries_.push_back(entry);
      }
      block = is_cut ? block + 1 : std::min<std::uint32_t>(64, cut_block - first_block);
    }
  }

  // The /24 in which the next interval begins.
  [[nodiscard]] std::uint32_t next_cut_block() const noexcept {
    return next_ < intervals_.starts.size() ? intervals_.starts[next_] >> 8 : no_block;
  }

  // The entry of a /24 in which intervals begin: a class if only at its first octet.
  [[nodiscard]] std::uint32_t cut_entry(std::uint32_t block) {
    if ((intervals_.starts[next_] & 255) == 0) current_ = intervals_.classes[next_++];
    if (next_cut_block() != block) return current_;
    group_starts_.clear();
    group_classes_.assign(1, current_);
    while (next_cut_block() == block) {
      group_starts_.push_back(static_cast<std::uint8_t>(intervals_.starts[next_]));
      current_ = intervals_.classes[next_++];
      group_classes_.push_back(current_);
    }
    return group_entry();
  }

  [[nodiscard]] std::uint32_t group_entry() {
    const bool is_wide = std::any_of(group_classes_.begin(), group_classes_.end(),
                                     [](ImageClass value) { return value > 255; });
    octets_.clear();
    octets_.push_back(static_cast<std::uint8_t>(group_starts_.size()));
    octets_.insert(octets_.end(), group_starts_.begin(), group_starts_.end());
    for (const ImageClass value : group_classes_) {
      std::array<std::uint8_t, 2> both;
      std::memcpy(both.data(), &value, sizeof value);
      if (is_wide) octets_.insert(octets_.end(), both.begin(), both.end());
      else octets_.push_back(static_cast<std::uint8_t>(value));
    }
    return Image4::group_flag | (is_wide ? Image4::wide_flag : 0) | place_group();
  }

  // Where the octets of the group stand: of a small one only one copy is kept, as far as the fixed
  // table of known groups remembers it.
  [[nodiscard]] std::uint32_t place_group() {
    const auto end = static_cast<std::uint32_t>(image_.groups_.size());
    if (octets_.size() <= shared_octets_max) {
      std::uint32_t& known = shared_[hash_of_octets() % shared_slots];
      if (known != no_group && end - known >= octets_.size() &&
          std::memcmp(&image_.groups_[known], octets_.data(), octets_.size()) == 0) {
        return known;
      }
      known = end;
    }
    image_.groups_.insert(image_.groups_.end(), octets_.begin(), octets_.end());
    return end;
  }

  [[nodiscard]] std::size_t hash_of_octets() const noexcept {
    std::array<std::uint64_t, 2> words{};
    std::memcpy(words.data(), octets_.data(), octets_.size());
    const std::uint64_t mixed = (words[0] * 0x9e37'79b9'7f4a'7c15ULL) ^
                                (words[1] * 0xc2b2'ae3d'27d4'eb4fULL);
    return static_cast<std::size_t>(mixed ^ mixed >> 32) >> 4;
  }

  const Intervals<Key4>& intervals_;
  Image4& image_;
  std::size_t next_ = 0;
  ImageClass current_ = 0;  // the class of the interval that reaches into the next block
  std::vector<std::uint32_t> shared_;
  std::vector<std::uint8_t> group_starts_;
  std::vector<ImageClass> group_classes_;
  std::vector<std::uint8_t> octets_;
};

TableError Image4::build(const Intervals<Key4>& intervals, Image4& image) {
  return Image4Builder(intervals, image).run();
}

}  // namespace activemx
