// Image4: the compiled IPv4 prefixes, RankDXR.
//
//   address  =  chunk (18 bits)  |  block (6 bits)  |  octet (8 bits)
//   chunks_[chunk]  = { changes: bit b = block b's entry differs from the one before; base }
//   entries_[base + popcount(changes up to block) - 1]
//                   = a class, or where a group begins
//   group           = n | n starts, ascending, octets | n + 1 classes, of 8 or 16 bits
//
// A group is one /24 that is cut inside; its class is found by counting the starts <= octet with
// one SIMD comparison. Three dependent loads in all, 12 MB for a million scattered prefixes; equal
// small groups are stored once, so that lone addresses cost little more than their entry. Anchors:
// DXR (Zec, Rizzo, Mikuc 2012); bench/lookup.ts measures this structure.
//
// Immutable once built; any thread may read it. Unset bits of any24 must be filtered by the caller
// where that is wanted; the image itself answers every address.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "core/any24.hpp"
#include "core/huge_pages.hpp"
#include "core/interval_sweep.hpp"
#include "core/verdict_class.hpp"

namespace activemx {

class Image4 {
 public:
  struct Chunk {
    std::uint64_t changes;  // bit 0 is always set
    std::uint32_t base;
    std::uint32_t reserved;  // 0
  };

  static constexpr std::size_t chunk_count = std::size_t{1} << 18;
  static constexpr std::uint32_t group_flag = 0x8000'0000;
  static constexpr std::uint32_t wide_flag = 0x4000'0000;  // classes of 16 bits
  static constexpr std::uint32_t offset_mask = 0x3fff'ffff;
  // Octets readable behind the last group, so that a comparison may load a whole vector.
  static constexpr std::size_t tail_octets = 64;

  Image4() = default;
  // too_large above 1 GiB of groups.
  [[nodiscard]] static TableError build(const Intervals<Key4>& intervals, Image4& image);

  // address: host byte order. O(1), no allocation.
  [[nodiscard]] ImageClass lookup(std::uint32_t address) const noexcept {
    const std::uint32_t entry = entries_[entry_index(address)];
    return (entry & group_flag) == 0 ? static_cast<ImageClass>(entry)
                                     : in_group(entry, static_cast<std::uint8_t>(address));
  }

  // classes[i] = meanings[lookup(addresses[i])], 0 where any24 has no bit. Loads of 32 addresses
  // are in flight at once, so the cost is throughput of memory, not its latency.
  void lookup_many(const Any24& any24, std::span<const VerdictClass> meanings,
                   std::span<const std::uint32_t> addresses, VerdictClass* classes) const noexcept;

  // Sets the bit of every /24 in which some address has a class.
  void mark_listed(std::span<std::uint64_t> any24_words) const noexcept;

  [[nodiscard]] std::size_t octets() const noexcept {
    return chunks_.size() * sizeof(Chunk) + entries_.size() * sizeof(std::uint32_t) +
           groups_.size();
  }

  // The parts, for the snapshot and for readers in JavaScript (src/tables/compiled-view.ts).
  // adopt() checks every offset: false if one is out of place.
  [[nodiscard]] std::span<const Chunk> chunks() const noexcept { return chunks_; }
  [[nodiscard]] std::span<const std::uint32_t> entries() const noexcept { return entries_; }
  [[nodiscard]] std::span<const std::uint8_t> groups() const noexcept { return groups_; }
  [[nodiscard]] static bool adopt(HugeVector<Chunk> chunks, HugeVector<std::uint32_t> entries,
                                  HugeVector<std::uint8_t> groups, std::size_t class_count,
                                  Image4& image);

 private:
  friend class Image4Builder;

  [[nodiscard]] std::uint32_t entry_index(std::uint32_t address) const noexcept {
    const Chunk& chunk = chunks_[address >> 14];
    const std::uint64_t up_to_block = (std::uint64_t{2} << (address >> 8 & 63)) - 1;
    return chunk.base + static_cast<std::uint32_t>(std::popcount(chunk.changes & up_to_block)) - 1;
  }

  [[nodiscard]] ImageClass in_group(std::uint32_t entry, std::uint8_t octet) const noexcept;
  [[nodiscard]] bool is_sound(std::size_t class_count) const noexcept;
  [[nodiscard]] bool is_group_sound(std::uint32_t entry, std::size_t class_count) const noexcept;

  HugeVector<Chunk> chunks_;
  HugeVector<std::uint32_t> entries_;
  HugeVector<std::uint8_t> groups_;
};

}  // namespace activemx
