// Lookup in the IPv4 image and the checks of one that comes from a file, see image4.hpp.
// The construction is in image4_builder.cpp.
#include "core/image4.hpp"

#include <algorithm>
#include <utility>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace activemx {
namespace {

// How many of the n ascending octets at `starts` are <= octet. 64 octets behind them are readable.
#if defined(__x86_64__)
[[nodiscard]] inline unsigned starts_up_to(const std::uint8_t* starts, unsigned n,
                                           std::uint8_t octet) noexcept {
  const __m128i wanted = _mm_set1_epi8(static_cast<char>(octet));
  unsigned count = 0;
  for (unsigned at = 0; at < n; at += 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(starts + at));
    const __m128i is_up_to = _mm_cmpeq_epi8(_mm_min_epu8(block, wanted), block);
    auto bits = static_cast<unsigned>(_mm_movemask_epi8(is_up_to));
    if (n - at < 16) bits &= (1U << (n - at)) - 1;
    count += static_cast<unsigned>(std::popcount(bits));
  }
  return count;
}
#else
[[nodiscard]] inline unsigned starts_up_to(const std::uint8_t* starts, unsigned n,
                                           std::uint8_t octet) noexcept {
  return static_cast<unsigned>(std::upper_bound(starts, starts + n, octet) - starts);
}
#endif

constexpr std::size_t in_flight = 32;

}  // namespace

ImageClass Image4::in_group(std::uint32_t entry, std::uint8_t octet) const noexcept {
  const std::uint8_t* group = &groups_[entry & offset_mask];
  const unsigned n = group[0];
  const unsigned at = starts_up_to(group + 1, n, octet);
  const std::uint8_t* classes = group + 1 + n;
  if ((entry & wide_flag) == 0) return classes[at];
  ImageClass value;
  std::memcpy(&value, classes + at * sizeof value, sizeof value);
  return value;
}

void Image4::lookup_many(const Any24& any24, std::span<const VerdictClass> meanings,
                         std::span<const std::uint32_t> addresses,
                         VerdictClass* classes) const noexcept {
  std::array<std::uint8_t, in_flight> asked;
  std::array<std::uint32_t, in_flight> step;
  for (std::size_t from = 0; from < addresses.size(); from += in_flight) {
    const auto part = addresses.subspan(from, std::min(in_flight, addresses.size() - from));
    std::size_t count = 0;
    for (std::size_t i = 0; i < part.size(); ++i) {
      classes[from + i] = 0;
      asked[count] = static_cast<std::uint8_t>(i);
      count += any24.bit(part[i]);
    }
    for (std::size_t i = 0; i < count; ++i) __builtin_prefetch(&chunks_[part[asked[i]] >> 14]);
    for (std::size_t i = 0; i < count; ++i) {
      step[i] = entry_index(part[asked[i]]);
      __builtin_prefetch(&entries_[step[i]]);
    }
    for (std::size_t i = 0; i < count; ++i) {
      step[i] = entries_[step[i]];
      if ((step[i] & group_flag) != 0) __builtin_prefetch(&groups_[step[i] & offset_mask]);
    }
    for (std::size_t i = 0; i < count; ++i) {
      const auto octet = static_cast<std::uint8_t>(part[asked[i]]);
      const ImageClass found = (step[i] & group_flag) == 0 ? static_cast<ImageClass>(step[i])
                                                           : in_group(step[i], octet);
      classes[from + asked[i]] = meanings[found];
    }
  }
}

void Image4::mark_listed(std::span<std::uint64_t> any24_words) const noexcept {
  for (std::size_t at = 0; at < chunks_.size(); ++at) {
    std::uint64_t changes = chunks_[at].changes;
    std::uint64_t listed = 0;
    for (std::uint32_t entry = chunks_[at].base; changes != 0; ++entry) {
      const std::uint64_t from = changes & (0 - changes);
      changes &= changes - 1;
      // All bits from this change on; the next one takes back what is its own.
      if (entries_[entry] != 0) listed |= ~(from - 1);
      else listed &= from - 1;
    }
    any24_words[at] |= listed;
  }
}

bool Image4::adopt(HugeVector<Chunk> chunks, HugeVector<std::uint32_t> entries,
                   HugeVector<std::uint8_t> groups, std::size_t class_count, Image4& image) {
  image.chunks_ = std::move(chunks);
  image.entries_ = std::move(entries);
  image.groups_ = std::move(groups);
  if (image.is_sound(class_count)) return true;
  image = Image4();
  return false;
}

bool Image4::is_sound(std::size_t class_count) const noexcept {
  if (chunks_.size() != chunk_count || groups_.size() < tail_octets) return false;
  std::uint64_t base = 0;
  for (const Chunk& chunk : chunks_) {
    if ((chunk.changes & 1) == 0 || chunk.base != base || chunk.reserved != 0) return false;
    base += static_cast<std::uint64_t>(std::popcount(chunk.changes));
  }
  if (base != entries_.size()) return false;
  return std::all_of(entries_.begin(), entries_.end(), [&](std::uint32_t entry) {
    return (entry & group_flag) != 0 ? is_group_sound(entry, class_count) : entry < class_count;
  });
}

bool Image4::is_group_sound(std::uint32_t entry, std::size_t class_count) const noexcept {
  const std::size_t limit = groups_.size() - tail_octets;
  const std::size_t offset = entry & offset_mask;
  if (offset >= limit) return false;
  const std::size_t n = groups_[offset];
  const std::size_t width = (entry & wide_flag) != 0 ? 2 : 1;
  if (n == 0 || offset + 1 + n + (n + 1) * width > limit) return false;
  const std::uint8_t* starts = &groups_[offset + 1];
  for (std::size_t i = 0; i < n; ++i) {
    if (starts[i] <= (i == 0 ? 0 : starts[i - 1])) return false;
  }
  for (std::size_t i = 0; i <= n; ++i) {
    ImageClass value = starts[n + i];
    if (width == 2) std::memcpy(&value, starts + n + i * 2, sizeof value);
    if (value >= class_count) return false;
  }
  return true;
}

}  // namespace activemx
