// Writing a snapshot, see snapshot.hpp.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "core/file_descriptor.hpp"
#include "core/snapshot.hpp"
#include "core/snapshot_format.hpp"

namespace activemx {
namespace {

using snapshot::Kind;

using Octets = std::span<const std::byte>;

void append(std::vector<std::byte>& into, const void* from, std::size_t octets) {
  const std::size_t at = into.size();
  into.resize(at + octets);
  if (octets > 0) std::memcpy(into.data() + at, from, octets);
}

// Count, then length and octets of each. u32 each.
[[nodiscard]] std::vector<std::byte> pack(const std::vector<std::string>& names) {
  std::vector<std::byte> packed;
  const auto count = static_cast<std::uint32_t>(names.size());
  append(packed, &count, sizeof count);
  for (const std::string& name : names) {
    const auto length = static_cast<std::uint32_t>(name.size());
    append(packed, &length, sizeof length);
    append(packed, name.data(), name.size());
  }
  return packed;
}

// For each set its size and its list ids. u16 each.
[[nodiscard]] std::vector<std::byte> pack(const std::vector<ListSet>& sets) {
  std::vector<std::byte> packed;
  for (const ListSet& set : sets) {
    const auto size = static_cast<std::uint16_t>(set.size());
    append(packed, &size, sizeof size);
    append(packed, set.data(), set.size() * sizeof(ListId));
  }
  return packed;
}

[[nodiscard]] SnapshotFault system_fault(const std::string& what) {
  return {TableError::unreadable, what + ": " + std::strerror(errno)};
}

class SnapshotWriter {
 public:
  SnapshotWriter(const TableImage& image, std::shared_ptr<const Places> places4,
                 std::shared_ptr<const Places> places6)
      : lists_(pack(image.lists)),
        files_(pack(image.files)),
        sets_(pack(image.sets)),
        places4_(std::move(places4)),
        places6_(std::move(places6)) {
    add(Kind::lists, lists_);
    add(Kind::files, files_);
    add(Kind::sets, sets_);
    add_bytes(Kind::chunks4, image.image4.chunks());
    add_bytes(Kind::entries4, image.image4.entries());
    add_bytes(Kind::groups4, image.image4.groups());
    add_bytes(Kind::keys6, image.image6.keys());
    add_bytes(Kind::values6, image.image6.values());
    add_bytes(Kind::deep_first6, image.image6.deep_first());
    add_bytes(Kind::deep_starts6, image.image6.deep_starts());
    add_bytes(Kind::deep_classes6, image.image6.deep_classes());
    add_rules(Kind::rule_starts4, image.rules4, *places4_);
    add_rules(Kind::rule_starts6, image.rules6, *places6_);
  }

  [[nodiscard]] bool write_to(int fd) {
    snapshot::Header header{};
    std::memcpy(header.magic, snapshot::magic, sizeof header.magic);
    header.version = snapshot::version;
    header.byte_order = snapshot::byte_order;
    header.section_count = static_cast<std::uint32_t>(sections_.size());
    header.file_octets = end_;
    header.checksum = snapshot::head_checksum(header, sections_);
    if (!write_whole(fd, std::as_bytes(std::span(&header, 1)))) return false;
    if (!write_whole(fd, std::as_bytes(std::span(sections_)))) return false;
    for (std::size_t i = 0; i < sections_.size(); ++i) {
      if (!pad(fd, sections_[i].offset) || !write_whole(fd, contents_[i])) return false;
    }
    return pad(fd, end_);
  }

  // After write_to.
  [[nodiscard]] std::shared_ptr<const ProvenanceFile> provenance_in(int fd) const {
    return snapshot::provenance_in(fd, sections_);
  }

 private:
  void add(Kind kind, Octets octets) {
    constexpr std::size_t head =
        sizeof(snapshot::Header) + snapshot::section_count * sizeof(snapshot::Section);
    if (sections_.empty()) end_ = snapshot::aligned(head);
    sections_.push_back({kind, crc32c(octets), end_, octets.size()});
    contents_.push_back(octets);
    end_ = snapshot::aligned(end_ + octets.size());
  }

  template <class T>
  void add_bytes(Kind kind, std::span<const T> values) {
    add(kind, std::as_bytes(values));
  }

  // The six columns of a family have consecutive kinds; parents are found again at loading.
  template <class Key>
  void add_rules(Kind first, const SortedRules<Key>& rules, const Places& places) {
    auto kind = static_cast<std::uint32_t>(first);
    const auto next = [&kind] { return static_cast<Kind>(kind++); };
    add_bytes(next(), std::span(rules.starts));
    add_bytes(next(), std::span(rules.lengths));
    add_bytes(next(), std::span(rules.list_ids));
    add_bytes(next(), std::span(places.file_ids));
    add_bytes(next(), std::span(places.lines));
    add_bytes(next(), std::span(rules.excluded));
  }

  [[nodiscard]] bool write_whole(int fd, Octets octets) {
    while (!octets.empty()) {
      const ssize_t written = ::write(fd, octets.data(), octets.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return false;
      octets = octets.subspan(static_cast<std::size_t>(written));
      at_ += static_cast<std::uint64_t>(written);
    }
    return true;
  }

  [[nodiscard]] bool pad(int fd, std::uint64_t to) {
    static constexpr std::array<std::byte, snapshot::alignment> zeros{};
    return write_whole(fd, Octets(zeros).first(static_cast<std::size_t>(to - at_)));
  }

  std::vector<std::byte> lists_;
  std::vector<std::byte> files_;
  std::vector<std::byte> sets_;
  std::shared_ptr<const Places> places4_;
  std::shared_ptr<const Places> places6_;
  std::vector<snapshot::Section> sections_;
  std::vector<Octets> contents_;
  std::uint64_t end_ = 0;
  std::uint64_t at_ = 0;
};

// A name beside the file that no other writer uses.
[[nodiscard]] std::string temporary_name(const std::string& path) {
  static std::atomic<unsigned> number{0};
  return path + ".tmp." + std::to_string(::getpid()) + "." + std::to_string(++number);
}

[[nodiscard]] bool sync_folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const FileDescriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return fd.is_open() && ::fsync(fd.get()) == 0;
}

}  // namespace

SnapshotFault save_snapshot(const TableImage& image, const std::string& path) {
  const std::string beside = temporary_name(path);
  auto places4 = image.provenance.places(true);
  auto places6 = image.provenance.places(false);
  if (places4 == nullptr || places6 == nullptr) {
    return {TableError::damaged, "the snapshot that this table came from has been changed"};
  }
  SnapshotFault fault;
  std::shared_ptr<const ProvenanceFile> provenance;
  {
    constexpr int flags = O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC;
    const FileDescriptor fd(::open(beside.c_str(), flags, 0640));
    if (!fd.is_open()) return system_fault("create " + beside);
    SnapshotWriter writer(image, std::move(places4), std::move(places6));
    if (!writer.write_to(fd.get())) fault = system_fault("write " + beside);
    else if (::fsync(fd.get()) != 0) fault = system_fault("sync " + beside);
    else provenance = writer.provenance_in(fd.get());
  }
  if (!fault.happened() && std::rename(beside.c_str(), path.c_str()) != 0) {
    fault = system_fault("rename to " + path);
  }
  if (!fault.happened()) image.provenance.leave_to(std::move(provenance));
  if (fault.happened()) ::unlink(beside.c_str());
  else if (!sync_folder_of(path)) fault = system_fault("sync the folder of " + path);
  return fault;
}

}  // namespace activemx
