// Any octets as a snapshot file: refused, or an image whose every lookup stays in its arrays.
//
// Input: first octet even = the rest is the file. Odd = the rest changes a valid file, five octets
// a change (section, three of the place, value), and all checksums are made right again, so that
// only the checks of every index are left.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/shared_table.hpp"
#include "core/snapshot.hpp"
#include "core/snapshot_format.hpp"
#include "test/table_oracle.hpp"

namespace activemx::test {
namespace {

using Octets = std::vector<std::uint8_t>;
using Sections = std::vector<snapshot::Section>;

constexpr std::size_t change_octets = 5;
constexpr std::uint64_t some_upper_half = 0x2001'0db8'0000'0000ULL;

std::string path_of(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

// A small table in which every kind of section has content.
std::shared_ptr<const TableImage> small_image() {
  TableOracle oracle;
  for (std::uint32_t i = 0; i < 40; ++i) {
    const unsigned length = 96 + 20 + i % 13;
    const Key6 start = mapped(0x0a00'0000U + i * 0x1'4321U) & mask_of<Key6>(length);
    oracle.compiled.push_back({start, length, static_cast<ListId>(i % 3), i % 7 == 0, true});
    const unsigned length6 = 40 + i * 2;
    const Key6 address6 = static_cast<Key6>(some_upper_half + i) << 64 | 0x1'0001U;
    const Key6 start6 = address6 & mask_of<Key6>(length6);
    oracle.compiled.push_back({start6, length6, static_cast<ListId>(i % 3), i % 9 == 0, false});
  }
  OwnedColumns v4;
  OwnedColumns v6;
  TableError error = TableError::none;
  return compile(oracle.rules(v4, v6, 3), error);
}

Octets valid_file() {
  const std::string path = "/tmp/activemx-fuzz-" + std::to_string(::getpid());
  if (save_snapshot(*small_image(), path).happened()) std::abort();
  std::FILE* const file = std::fopen(path.c_str(), "rb");
  Octets octets(std::size_t{8} << 20);
  octets.resize(std::fread(octets.data(), 1, octets.size(), file));
  std::fclose(file);
  ::unlink(path.c_str());
  return octets;
}

void make_checksums_right(Octets& file, Sections& sections) {
  for (snapshot::Section& section : sections) {
    const std::span content(file.data() + section.offset, section.octets);
    section.checksum = crc32c(std::as_bytes(content));
  }
  snapshot::Header header{};
  std::memcpy(&header, file.data(), sizeof header);
  header.checksum = snapshot::head_checksum(header, sections);
  std::memcpy(file.data(), &header, sizeof header);
  std::memcpy(file.data() + sizeof header, sections.data(), sections.size() * sizeof sections[0]);
}

Octets forged_file(std::span<const std::uint8_t> changes) {
  static const Octets valid = valid_file();
  Octets file = valid;
  Sections sections(snapshot::section_count);
  std::memcpy(sections.data(), file.data() + sizeof(snapshot::Header),
              sections.size() * sizeof sections[0]);
  for (std::size_t at = 0; at + change_octets <= changes.size(); at += change_octets) {
    const snapshot::Section& section = sections[changes[at] % sections.size()];
    if (section.octets == 0) continue;
    // Three octets: the largest section has 4 MiB.
    const std::size_t place =
        std::size_t{changes[at + 1]} << 16 | std::size_t{changes[at + 2]} << 8 | changes[at + 3];
    file[section.offset + place % section.octets] = changes[at + 4];
  }
  make_checksums_right(file, sections);
  return file;
}

void ask(const std::shared_ptr<const TableImage>& image) {
  auto table = std::make_shared<SharedTable>();
  if (table->publish(CompiledTable(image)) != TableError::none) return;
  TableReader reader(table);
  for (std::uint32_t i = 0; i < 64; ++i) {
    const std::uint32_t address = i < 48 ? 0x0a00'0000U + i * 0x1'4321U : i * 0x0400'0000U;
    (void)reader.match(mapped(address));
    (void)reader.origins(mapped(address + 1));
    const Key6 address6 = static_cast<Key6>(some_upper_half + i) << 64 | 0x1'0001U;
    (void)reader.match(address6);
    (void)reader.origins(address6 + i);
  }
}

}  // namespace
}  // namespace activemx::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace activemx;
  using namespace activemx::test;
  if (size == 0) return 0;
  const std::span rest(data + 1, size - 1);
  const Octets file = data[0] % 2 == 0 ? Octets(rest.begin(), rest.end()) : forged_file(rest);
  static const int fd = ::memfd_create("snapshot", MFD_CLOEXEC);
  if (::ftruncate(fd, 0) != 0) return 0;
  if (::pwrite(fd, file.data(), file.size(), 0) != static_cast<ssize_t>(file.size())) return 0;
  SnapshotFault fault;
  const auto image = load_snapshot(path_of(fd), fault);
  if (image != nullptr) ask(image);
  return 0;
}
