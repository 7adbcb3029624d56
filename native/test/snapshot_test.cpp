// A snapshot gives back what was saved; whatever is done to the file, it is refused or safe to ask.
#include "core/snapshot.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "checks.hpp"
#include "core/checksum.hpp"
#include "core/shared_table.hpp"
#include "core/snapshot_format.hpp"
#include "table_oracle.hpp"

namespace activemx::test {
namespace {

std::string folder;

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

std::shared_ptr<const TableImage> image_of_some_rules() {
  TableOracle oracle;
  for (std::uint32_t i = 0; i < 300; ++i) {
    const unsigned length = 96 + 16 + i % 17;
    const Key6 start = mapped(0x0a00'0000U + i * 0x4321U) & mask_of<Key6>(length);
    oracle.compiled.push_back({start, length, static_cast<ListId>(i % 5), i % 7 == 0, true});
    const unsigned length6 = 32 + i % 97;
    const Key6 start6 = (Key6{0x2001'0db8'0000'0000ULL + i} << 64 | i * 0x1'0001ULL) &
                        mask_of<Key6>(length6);
    oracle.compiled.push_back({start6, length6, static_cast<ListId>(i % 5), i % 9 == 0, false});
  }
  OwnedColumns v4;
  OwnedColumns v6;
  TableError error = TableError::none;
  return compile(oracle.rules(v4, v6, 5), error);
}

// Asks all over the space: with sanitizers an index out of place would end the test.
void ask_everywhere(const std::shared_ptr<const TableImage>& image, Random& random) {
  auto table = std::make_shared<SharedTable>();
  if (table->publish(CompiledTable(image)) != TableError::none) return;
  TableReader reader(table);
  for (int i = 0; i < 200; ++i) {
    const auto address = static_cast<std::uint32_t>(0x0a00'0000U + random.below(0x60'0000));
    (void)reader.origins(mapped(address));
    (void)reader.match(mapped(address));
    const Key6 address6 = Key6{0x2001'0db8'0000'0000ULL + random.below(310)} << 64 |
                          random.below(0x200'0000);
    (void)reader.origins(address6);
    (void)reader.match(address6);
  }
}

void check_round_trip(const std::string& path, Random& random) {
  const auto image = image_of_some_rules();
  check(!save_snapshot(*image, path).happened(), "saves");
  SnapshotFault fault;
  const auto loaded = load_snapshot(path, fault);
  check(loaded != nullptr && !fault.happened(), "loads");
  check(loaded->lists == image->lists && loaded->files == image->files, "same names");
  check(loaded->sets == image->sets, "same sets");
  check(loaded->rules4.parents == image->rules4.parents, "same nesting");
  for (int i = 0; i < 5000; ++i) {
    const auto address = static_cast<std::uint32_t>(random.next());
    const std::uint32_t near = 0x0a00'0000U + address % 0x60'0000U;
    check(loaded->image4.lookup(address) == image->image4.lookup(address), "same answer");
    check(loaded->image4.lookup(near) == image->image4.lookup(near), "same answer");
    const Image6::Address address6{0x2001'0db8'0000'0000ULL + random.below(310), random.next()};
    check(loaded->image6.lookup(address6) == image->image6.lookup(address6), "same answer");
  }
}

struct Asked {
  std::vector<Origin> origins;
  TableError fault = TableError::none;
};

Asked origins_in(const std::shared_ptr<const TableImage>& image, Key6 address) {
  auto table = std::make_shared<SharedTable>();
  check(table->publish(CompiledTable(image)) == TableError::none, "publishes");
  TableReader reader(table);
  Asked asked;
  asked.origins = reader.origins(address, &asked.fault);
  return asked;
}

bool names_same(const Asked& a, const Asked& b) {
  return a.fault == TableError::none && b.fault == TableError::none && !a.origins.empty() &&
         std::equal(a.origins.begin(), a.origins.end(), b.origins.begin(), b.origins.end(),
                    [](const Origin& one, const Origin& other) {
                      return one.list == other.list && one.start == other.start &&
                             one.file == other.file && one.line == other.line;
                    });
}

// Files and lines leave the memory with the first snapshot, and are read from there on demand.
void check_provenance(const std::string& path) {
  const Key6 listed4 = mapped(0x0a00'0000U + 5 * 0x4321U);
  const Key6 listed6 = Key6{0x2001'0db8'0000'0000ULL + 6} << 64 | 6 * 0x1'0001ULL;
  const auto image = image_of_some_rules();
  const Asked before4 = origins_in(image, listed4);
  const Asked before6 = origins_in(image, listed6);
  check(image->provenance.octets() > 0, "in memory without a snapshot");
  check(!save_snapshot(*image, path).happened(), "saves");
  check(image->provenance.octets() == 0, "not in memory after a save");
  SnapshotFault fault;
  const auto loaded = load_snapshot(path, fault);
  check(loaded->provenance.octets() == 0, "not in memory after a load");
  for (const auto& one : {image, loaded}) {
    check(names_same(before4, origins_in(one, listed4)), "same files and lines");
    check(names_same(before6, origins_in(one, listed6)), "same files and lines");
  }
  check(!save_snapshot(*loaded, path + ".copy").happened(), "saves what lies in a file");
  check(read_file(path) == read_file(path + ".copy"), "the same file");
  ::unlink((path + ".copy").c_str());
  check(names_same(before4, origins_in(loaded, listed4)), "a file that is gone is still read");

  // Changed in place, it costs the files and lines and nothing else.
  const std::string whole = read_file(path);
  write_file(path, std::string(whole.size(), 'x'));
  const Asked changed = origins_in(image, listed4);
  check(changed.fault == TableError::damaged, "a changed file is a fault");
  check(changed.origins.size() == before4.origins.size(), "lists and prefixes are known");
  check(save_snapshot(*image, path + ".copy").error == TableError::damaged, "not saved on");
  write_file(path, whole.substr(0, whole.size() / 2));
  check(origins_in(image, listed4).fault == TableError::damaged, "a cut file is a fault");
  check(origins_in(image, 1).fault == TableError::none, "no fault where nothing is to be read");
  write_file(path, whole);
  check(names_same(before4, origins_in(image, listed4)), "right again, it is read again");
}

TableError error_of(const std::string& path) {
  SnapshotFault fault;
  const auto image = load_snapshot(path, fault);
  check((image == nullptr) == fault.happened(), "an image or a fault");
  check(!fault.happened() || !fault.reason.empty(), "a fault has a reason");
  return fault.error;
}

void check_refusals(const std::string& path, Random& random) {
  const std::string whole = read_file(path);
  for (int i = 0; i < 100; ++i) {
    std::string damaged = whole;
    const std::size_t at = random.below(whole.size());
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << random.below(8)));
    write_file(path, damaged);
    const TableError error = error_of(path);
    check(error == TableError::damaged || error == TableError::foreign, "refused");
  }
  for (int i = 0; i < 50; ++i) {
    write_file(path, whole.substr(0, random.below(whole.size())));
    check(error_of(path) != TableError::none, "a cut file is refused");
  }
  write_file(path, whole + "x");
  check(error_of(path) == TableError::damaged, "a grown file is refused");
  check(error_of(folder) == TableError::unreadable, "a folder is refused");
  check(error_of(path + ".none") == TableError::unreadable, "a missing file is refused");
  check(save_snapshot(*image_of_some_rules(), folder + "/none/file").happened(), "names no place");
  write_file(path, whole);
}

// Changes an octet and makes all checksums right again: only the checks of every index are left.
void check_forged(const std::string& path, Random& random) {
  const std::string whole = read_file(path);
  const std::size_t table_at = sizeof(snapshot::Header);
  std::vector<snapshot::Section> sections(snapshot::section_count);
  std::memcpy(sections.data(), whole.data() + table_at, sections.size() * sizeof sections[0]);
  for (int i = 0; i < 150; ++i) {
    std::string forged = whole;
    auto own = sections;
    snapshot::Section& section = own[random.below(own.size())];
    if (section.octets == 0) continue;
    char& octet = forged[section.offset + random.below(section.octets)];
    octet = static_cast<char>(random.chance(30) ? 0xff : random.next());
    const std::span<const char> content(forged.data() + section.offset, section.octets);
    section.checksum = crc32c(std::as_bytes(content));
    snapshot::Header header{};
    std::memcpy(&header, forged.data(), sizeof header);
    header.checksum = snapshot::head_checksum(header, own);
    std::memcpy(forged.data(), &header, sizeof header);
    std::memcpy(forged.data() + table_at, own.data(), own.size() * sizeof own[0]);
    write_file(path, forged);
    SnapshotFault fault;
    const auto image = load_snapshot(path, fault);
    if (image != nullptr) ask_everywhere(image, random);
  }
}

void check_checksum() {
  const char text[] = "123456789";
  const auto octets = std::as_bytes(std::span(text, 9));
  check(crc32c(octets) == 0xe306'9283, "the check value of CRC-32C");
  check(crc32c_scalar(octets) == 0xe306'9283, "the same without the instruction");
}

}  // namespace
}  // namespace activemx::test

int main() {
  using namespace activemx::test;
  Random random(seed());
  char name[] = "/tmp/activemx-snapshot-XXXXXX";
  check(::mkdtemp(name) != nullptr, "makes a folder");
  folder = name;
  const std::string path = folder + "/table.snapshot";
  check_checksum();
  check_round_trip(path, random);
  check_provenance(path);
  check_refusals(path, random);
  check_forged(path, random);
  ::unlink(path.c_str());
  check(::rmdir(name) == 0, "nothing is left beside the file");
  return 0;
}
