// IpRules: the input of a build, prefixes as columns, and the names that their ids stand for.
//
// The columns belong to the caller and are only read, during the build. Host bits of a prefix are
// cleared by the build. An IPv4-mapped IPv6 prefix (::ffff:0:0/96 and longer) must come as IPv4.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/verdict_class.hpp"

namespace activemx {

// An IPv6 address as a number, first octet most significant.
using Key6 = unsigned __int128;
using Key4 = std::uint32_t;

template <class Key>
inline constexpr unsigned key_bits = sizeof(Key) * 8;

// The bits of a prefix of `length` bits. O(1).
template <class Key>
[[nodiscard]] constexpr Key mask_of(unsigned length) noexcept {
  return length == 0 ? Key{0} : static_cast<Key>(~Key{0} << (key_bits<Key> - length));
}

// Entry i stands in slot i of each column; all columns are equally long.
struct RuleColumns {
  std::span<const std::uint32_t> words;  // IPv4: 1 an entry; IPv6: 4, most significant first
  std::span<const std::uint8_t> lengths;
  std::span<const std::uint16_t> list_ids;
  std::span<const std::uint16_t> file_ids;
  std::span<const std::uint32_t> lines;
  std::span<const std::uint8_t> excluded;  // 1 = the list does not hold what lies in the prefix

  [[nodiscard]] std::size_t count() const noexcept { return lengths.size(); }
};

template <class Key>
[[nodiscard]] inline Key key_at(const RuleColumns& columns, std::size_t at) noexcept {
  if constexpr (sizeof(Key) == 4) {
    return columns.words[at];
  } else {
    const std::uint32_t* word = &columns.words[at * 4];
    const std::uint64_t high = std::uint64_t{word[0]} << 32 | word[1];
    const std::uint64_t low = std::uint64_t{word[2]} << 32 | word[3];
    return static_cast<Key>(high) << 64 | low;
  }
}

struct IpRules {
  std::vector<std::string> lists;
  std::vector<std::string> files;
  RuleColumns v4;
  RuleColumns v6;
};

}  // namespace activemx
