// Reading and checking a snapshot, see snapshot.hpp.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <tuple>
#include <utility>

#include "core/file_descriptor.hpp"
#include "core/read_at.hpp"
#include "core/snapshot.hpp"
#include "core/snapshot_format.hpp"

namespace activemx {
namespace {

using snapshot::Kind;
using snapshot::Section;

class SnapshotReader {
 public:
  SnapshotReader(int fd, std::uint64_t file_octets) : fd_(fd), file_octets_(file_octets) {}

  [[nodiscard]] std::shared_ptr<const TableImage> read() {
    auto image = std::make_shared<TableImage>();
    if (!read_head() || !read_names(Kind::lists, image->lists)) return nullptr;
    if (!read_names(Kind::files, image->files) || !read_sets(*image)) return nullptr;
    if (!read_image4(*image) || !read_image6(*image)) return nullptr;
    Places places4;
    Places places6;
    if (!read_rules(Kind::rule_starts4, *image, image->rules4, places4)) return nullptr;
    if (!read_rules(Kind::rule_starts6, *image, image->rules6, places6)) return nullptr;
    image->provenance.keep(std::move(places4), std::move(places6));
    image->provenance.leave_to(snapshot::provenance_in(fd_, sections_));
    return image;
  }

  [[nodiscard]] SnapshotFault fault() const { return fault_; }

 private:
  bool refuse(TableError error, const char* reason) {
    fault_ = {error, reason};
    return false;
  }
  bool damaged(const char* reason) { return refuse(TableError::damaged, reason); }

  [[nodiscard]] bool read_head() {
    snapshot::Header header{};
    if (!read_at(fd_, 0, &header, sizeof header)) {
      return refuse(TableError::foreign, "too short for a snapshot");
    }
    if (std::memcmp(header.magic, snapshot::magic, sizeof header.magic) != 0) {
      return refuse(TableError::foreign, "no snapshot of an IP table");
    }
    if (header.byte_order != snapshot::byte_order) {
      return refuse(TableError::foreign, "written on a machine of another byte order");
    }
    if (header.version != snapshot::version) {
      return refuse(TableError::foreign, "written by another version of the format");
    }
    if (header.file_octets != file_octets_) return damaged("cut or grown: its length is wrong");
    if (header.section_count != snapshot::section_count) return damaged("sections are missing");
    sections_.resize(snapshot::section_count);
    if (!read_at(fd_, sizeof header, sections_.data(), sections_.size() * sizeof(Section))) {
      return damaged("cut in its section table");
    }
    if (snapshot::head_checksum(header, sections_) != header.checksum) {
      return damaged("the checksum of its head is wrong");
    }
    return are_sections_in_place();
  }

  // One after the other, nothing but zeros between them: no octet of the file is without a check.
  [[nodiscard]] bool are_sections_in_place() {
    std::uint64_t end = sizeof(snapshot::Header) + sections_.size() * sizeof(Section);
    for (std::size_t i = 0; i <= sections_.size(); ++i) {
      const std::uint64_t next = i < sections_.size() ? sections_[i].offset : file_octets_;
      if (next != snapshot::aligned(end) || next > file_octets_) {
        return damaged("a section is out of its place");
      }
      std::array<char, snapshot::alignment> gap{};
      if (!read_at(fd_, end, gap.data(), next - end)) return damaged("cut between sections");
      if (std::any_of(gap.begin(), gap.end(), [](char octet) { return octet != 0; })) {
        return damaged("there is something between sections");
      }
      if (i == sections_.size()) return true;
      if (sections_[i].octets > file_octets_) return damaged("a section is longer than the file");
      end = next + sections_[i].octets;
    }
    return true;
  }

  // Section `kind` as whole values, checked; the head has proved that it lies in the file.
  template <class Vector>
  [[nodiscard]] bool read_section(Kind kind, Vector& into) {
    constexpr std::size_t value_octets = sizeof(typename Vector::value_type);
    const Section& section = sections_[static_cast<std::uint32_t>(kind) - 1];
    if (section.kind != kind || section.octets % value_octets != 0) {
      return damaged("a section has another kind or length than it should");
    }
    into.resize(section.octets / value_octets);
    if (!read_at(fd_, section.offset, into.data(), section.octets)) {
      return damaged("cut in a section");
    }
    if (crc32c(std::as_bytes(std::span(into))) != section.checksum) {
      return damaged("the checksum of a section is wrong");
    }
    return true;
  }

  [[nodiscard]] bool read_names(Kind kind, std::vector<std::string>& names) {
    std::vector<char> packed;
    if (!read_section(kind, packed)) return false;
    std::size_t at = 0;
    const auto take = [&](std::uint32_t& number) {
      if (packed.size() - at < sizeof number) return false;
      std::memcpy(&number, packed.data() + at, sizeof number);
      at += sizeof number;
      return true;
    };
    std::uint32_t count = 0;
    if (!take(count) || count > 0xffff) return damaged("names are cut");
    for (std::uint32_t i = 0; i < count; ++i) {
      std::uint32_t length = 0;
      if (!take(length) || packed.size() - at < length) return damaged("names are cut");
      names.emplace_back(packed.data() + at, length);
      at += length;
    }
    return at == packed.size() || damaged("names have a rest");
  }

  [[nodiscard]] bool read_sets(TableImage& image) {
    std::vector<std::uint16_t> packed;
    if (!read_section(Kind::sets, packed)) return false;
    for (std::size_t at = 0; at < packed.size();) {
      const std::size_t size = packed[at++];
      if (packed.size() - at < size) return damaged("sets of lists are cut");
      const auto first = packed.begin() + static_cast<std::ptrdiff_t>(at);
      const ListSet set(first, first + static_cast<std::ptrdiff_t>(size));
      const bool ascends =
          std::adjacent_find(set.begin(), set.end(), std::greater_equal<>()) == set.end();
      if (!ascends || (!set.empty() && set.back() >= image.lists.size())) {
        return damaged("a set names a list that is not there");
      }
      if (set.empty() != image.sets.empty()) return damaged("the empty set is out of place");
      image.sets.push_back(set);
      at += size;
    }
    const bool fits = !image.sets.empty() && image.sets.size() <= verdict_classes_max + 1;
    return fits || damaged("the number of sets is out of range");
  }

  [[nodiscard]] bool read_image4(TableImage& image) {
    HugeVector<Image4::Chunk> chunks;
    HugeVector<std::uint32_t> entries;
    HugeVector<std::uint8_t> groups;
    if (!read_section(Kind::chunks4, chunks) || !read_section(Kind::entries4, entries)) {
      return false;
    }
    if (!read_section(Kind::groups4, groups)) return false;
    const bool is_sound = Image4::adopt(std::move(chunks), std::move(entries), std::move(groups),
                                        image.sets.size(), image.image4);
    return is_sound || damaged("an offset of the IPv4 table is out of place");
  }

  [[nodiscard]] bool read_image6(TableImage& image) {
    Image6Parts parts;
    if (!read_section(Kind::keys6, parts.keys)) return false;
    if (!read_section(Kind::values6, parts.values)) return false;
    if (!read_section(Kind::deep_first6, parts.deep_first)) return false;
    if (!read_section(Kind::deep_starts6, parts.deep_starts)) return false;
    if (!read_section(Kind::deep_classes6, parts.deep_classes)) return false;
    const bool is_sound = Image6::adopt(std::move(parts), image.sets.size(), image.image6);
    return is_sound || damaged("an offset of the IPv6 table is out of place");
  }

  template <class Key>
  [[nodiscard]] bool read_rules(Kind first, const TableImage& image, SortedRules<Key>& rules,
                                Places& places) {
    auto kind = static_cast<std::uint32_t>(first);
    const auto next = [&kind] { return static_cast<Kind>(kind++); };
    if (!read_section(next(), rules.starts) || !read_section(next(), rules.lengths)) return false;
    if (!read_section(next(), rules.list_ids) || !read_section(next(), places.file_ids)) {
      return false;
    }
    if (!read_section(next(), places.lines)) return false;
    if (!read_section(next(), rules.excluded)) return false;
    if (!are_sound(image, rules, places)) {
      return damaged("the entries behind the table are out of order");
    }
    link_parents(rules);
    return true;
  }

  template <class Key>
  [[nodiscard]] static bool are_sound(const TableImage& image, const SortedRules<Key>& rules,
                                      const Places& places) {
    const std::size_t count = rules.count();
    if (count >= no_rule || rules.lengths.size() != count || rules.list_ids.size() != count ||
        places.file_ids.size() != count || places.lines.size() != count ||
        rules.excluded.size() != count) {
      return false;
    }
    for (std::size_t i = 0; i < count; ++i) {
      if (rules.lengths[i] > key_bits<Key>) return false;
      if ((rules.starts[i] & ~mask_of<Key>(rules.lengths[i])) != 0) return false;
      if (rules.list_ids[i] >= image.lists.size() || places.file_ids[i] >= image.files.size()) {
        return false;
      }
      const auto order = [&](std::size_t at) {
        return std::tuple(rules.starts[at], rules.lengths[at], rules.excluded[at]);
      };
      if (i > 0 && order(i) < order(i - 1)) return false;
    }
    return true;
  }

  int fd_;
  std::uint64_t file_octets_;
  std::vector<Section> sections_;
  SnapshotFault fault_;
};

}  // namespace

std::shared_ptr<const TableImage> load_snapshot(const std::string& path, SnapshotFault& fault) {
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat about {};
  if (!fd.is_open() || ::fstat(fd.get(), &about) != 0) {
    fault = {TableError::unreadable, std::strerror(errno)};
    return nullptr;
  }
  if (!S_ISREG(about.st_mode)) {
    fault = {TableError::unreadable, "not a file"};
    return nullptr;
  }
  SnapshotReader reader(fd.get(), static_cast<std::uint64_t>(about.st_size));
  auto image = reader.read();
  fault = reader.fault();
  return image;
}

}  // namespace activemx
