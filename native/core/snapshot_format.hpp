// The layout of a snapshot file, shared by its writer and its reader; see snapshot.hpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/checksum.hpp"
#include "core/provenance.hpp"

namespace activemx::snapshot {

inline constexpr char magic[8] = {'A', 'M', 'X', 'T', 'A', 'B', 'L', 'E'};
inline constexpr std::uint32_t version = 1;
inline constexpr std::uint32_t byte_order = 0x0102'0304;
inline constexpr std::size_t alignment = 64;

enum class Kind : std::uint32_t {
  kLists = 1,
  kFiles,
  kSets,
  kChunks4,
  kEntries4,
  kGroups4,
  kKeys6,
  kValues6,
  kDeepFirst6,
  kDeepStarts6,
  kDeepClasses6,
  kRuleStarts4,
  kRuleLengths4,
  kRuleLists4,
  kRuleFiles4,
  kRuleLines4,
  kRuleExcluded4,
  kRuleStarts6,
  kRuleLengths6,
  kRuleLists6,
  kRuleFiles6,
  kRuleLines6,
  kRuleExcluded6,
};

inline constexpr std::uint32_t section_count = 23;

struct Header {
  char magic[8];
  std::uint32_t version;
  std::uint32_t byte_order;
  std::uint64_t file_octets;
  std::uint32_t section_count;
  std::uint32_t checksum;  // of header and section table, with this field 0
};

struct Section {
  Kind kind;
  std::uint32_t checksum;
  std::uint64_t offset;
  std::uint64_t octets;
};

static_assert(sizeof(Header) == 32 && sizeof(Section) == 24, "the layout on disk");

// Where the section behind `offset` begins.
[[nodiscard]] constexpr std::uint64_t aligned(std::uint64_t offset) noexcept {
  return (offset + alignment - 1) & ~std::uint64_t{alignment - 1};
}

// The places of the rules in an open snapshot of these sections; null without a free descriptor.
[[nodiscard]] inline std::shared_ptr<const ProvenanceFile> provenance_in(
    int fd, std::span<const Section> sections) {
  const auto column = [&](Kind kind) {
    const Section& section = sections[static_cast<std::uint32_t>(kind) - 1];
    return StoredColumn{section.offset, section.octets, section.checksum};
  };
  return ProvenanceFile::of(fd, {column(Kind::kRuleFiles4), column(Kind::kRuleLines4)},
                            {column(Kind::kRuleFiles6), column(Kind::kRuleLines6)});
}

// The checksum that belongs into the header.
[[nodiscard]] inline std::uint32_t head_checksum(Header header,
                                                 std::span<const Section> sections) {
  header.checksum = 0;
  std::vector<std::byte> head(sizeof header + sections.size_bytes());
  const auto header_octets = std::as_bytes(std::span(&header, 1));
  const auto table_octets = std::as_bytes(sections);
  std::copy(header_octets.begin(), header_octets.end(), head.begin());
  std::copy(table_octets.begin(), table_octets.end(), head.begin() + sizeof header);
  return crc32c(head);
}

}  // namespace activemx::snapshot
