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
  lists = 1,
  files,
  sets,
  chunks4,
  entries4,
  groups4,
  keys6,
  values6,
  deep_first6,
  deep_starts6,
  deep_classes6,
  rule_starts4,
  rule_lengths4,
  rule_lists4,
  rule_files4,
  rule_lines4,
  rule_excluded4,
  rule_starts6,
  rule_lengths6,
  rule_lists6,
  rule_files6,
  rule_lines6,
  rule_excluded6,
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
  return ProvenanceFile::of(fd, {column(Kind::rule_files4), column(Kind::rule_lines4)},
                            {column(Kind::rule_files6), column(Kind::rule_lines6)});
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
