// Body scanner: finds the end of a message on the wire and flags what must not travel on.
//
// Only CRLF.CRLF ends a message (RFC 5321 §4.1.1.4); a bare CR, a bare LF and a NUL are flagged and
// never taken for a line end. The state between two chunks is one number, the same as in the slow
// twin, src/smtp/body-scanner.ts, which explains it; both pass one contract suite. Nothing is kept
// or allocated: any thread may call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/simd.hpp"

namespace activemx {

// Where the octets seen so far stand; the low three bits of the state.
enum class ScanPosition : std::uint32_t {
  kLineStart = 0,   // CRLF, or nothing yet
  kInLine = 1,      // … x
  kAfterCr = 2,     // … x CR
  kAfterDot = 3,    // CRLF .
  kAfterDotCr = 4,  // CRLF . CR
  kEnded = 5,       // CRLF . CR LF
};

inline constexpr std::uint32_t kBareCrFlag = 0x08;
inline constexpr std::uint32_t kBareLfFlag = 0x10;
inline constexpr std::uint32_t kNulFlag = 0x20;
inline constexpr std::uint32_t kLongLineFlag = 0x40;

struct BodyScan {
  std::size_t index;    // behind CRLF.CRLF when the message has ended, else the number of octets
  std::uint32_t state;  // to go on from
};

// Scans all octets, going on from `state` (0 at the message's first octet). O(octets).
[[nodiscard]] BodyScan scan_body(std::span<const std::uint8_t> octets, std::uint32_t state,
                                 SimdLevel level) noexcept;

}  // namespace activemx
