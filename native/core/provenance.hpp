// Provenance: file and line of every compiled entry, for `explain` alone.
//
// It stays in memory only until the image has a snapshot: from then on it is read from that file
// when somebody asks, because it is asked for rarely and would be a third of the image. The file is
// kept open, so that a newer snapshot in its place, or none, changes nothing; what is read is
// checked against the checksums that were right when the file was written or loaded. A file that
// was cut or changed meanwhile costs the answer, nothing else.
//
// Part of an image. Any thread: a lock guards which of the two it is.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "core/file_descriptor.hpp"

namespace activemx {

// By the index of the rule in SortedRules.
struct Places {
  std::vector<std::uint16_t> file_ids;
  std::vector<std::uint32_t> lines;
};

// A column of a snapshot file.
struct StoredColumn {
  std::uint64_t offset;
  std::uint64_t octets;
  std::uint32_t checksum;
};

struct StoredPlaces {
  StoredColumn file_ids;
  StoredColumn lines;
};

// The places of both families in an open snapshot. Immutable.
class ProvenanceFile {
 public:
  // Null where no further descriptor is to be had; `fd` stays the caller's.
  [[nodiscard]] static std::shared_ptr<const ProvenanceFile> of(int fd, const StoredPlaces& v4,
                                                                const StoredPlaces& v6);
  ProvenanceFile(int owned_fd, const StoredPlaces& v4, const StoredPlaces& v6) noexcept
      : fd_(owned_fd), places_{v4, v6} {}

  // Null if the file has been cut or changed. Blocks on the disk.
  [[nodiscard]] std::shared_ptr<const Places> read(bool is_ipv4) const;

 private:
  FileDescriptor fd_;
  std::array<StoredPlaces, 2> places_;  // IPv4, IPv6
};

class Provenance {
 public:
  // While the image is being made.
  void keep(Places v4, Places v6);
  // From now on in the file; a null file changes nothing.
  void leave_to(std::shared_ptr<const ProvenanceFile> file) const;
  // All places of the family; null if they are in a file that has been cut or changed.
  [[nodiscard]] std::shared_ptr<const Places> places(bool is_ipv4) const;
  // Octets in memory.
  [[nodiscard]] std::size_t octets() const;

 private:
  mutable std::mutex mutex_;
  mutable std::array<std::shared_ptr<const Places>, 2> kept_;  // IPv4, IPv6
  mutable std::shared_ptr<const ProvenanceFile> file_;
};

}  // namespace activemx
