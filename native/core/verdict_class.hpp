// Names of small numbers that all parts of a table share.
#pragma once

#include <cstdint>

namespace activemx {

// Index of a set of lists; 0 = in no list. The sets are kept beside the table.
using VerdictClass = std::uint16_t;

// The same inside one compiled image; the table maps it to its own VerdictClass.
using ImageClass = std::uint16_t;

// Index of a list's name.
using ListId = std::uint16_t;

inline constexpr std::uint32_t verdict_classes_max = 65'535;  // 0 is none of them

// What may go wrong in a table; the binding names each as the `code` of an OperatingError.
enum class TableError : std::uint8_t {
  none,
  too_many_classes,  // more than 65,535 sets of lists
  too_large,         // beyond what the offsets of an image can name
  added_full,        // the maximum of entered prefixes
  unreadable,        // a file that cannot be opened, read or written: errno says why
  foreign,           // a file of another program, version or byte order
  damaged,           // a snapshot that is truncated or fails a check
};

}  // namespace activemx
