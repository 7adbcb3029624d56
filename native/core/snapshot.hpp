// Snapshot file: a TableImage on disk, so that a start needs no lists.
//
//   header   magic "AMXTABLE", version, byte order, length of the file, count of sections,
//            CRC-32C of header and section table
//   table    for each section: kind, CRC-32C, offset, octets
//   sections arrays of numbers, each at a multiple of 64 octets, zeros between them
//
// Written beside its place, synced, renamed, the folder synced: a reader sees the old file or the
// new one, whole. Read into memory of our own and checked there, every index of every array, before
// it is used: a file that is damaged, cut, foreign or changed while it is read is refused, and no
// file whatsoever makes a lookup leave its arrays. Numbers are in the byte order of the machine.
#pragma once

#include <memory>
#include <string>

#include "core/table_image.hpp"
#include "core/verdict_class.hpp"

namespace activemx {

struct SnapshotFault {
  TableError error = TableError::none;
  std::string reason;  // for people: what is wrong with the file

  [[nodiscard]] bool happened() const noexcept { return error != TableError::none; }
};

// From then on the image's provenance lies in the file. Blocks on the disk. Any thread; two writers
// of one path: the last rename wins.
[[nodiscard]] SnapshotFault save_snapshot(const TableImage& image, const std::string& path);

// Null and the reason, or the image. Blocks on the disk. Any thread.
[[nodiscard]] std::shared_ptr<const TableImage> load_snapshot(const std::string& path,
                                                              SnapshotFault& fault);

}  // namespace activemx
