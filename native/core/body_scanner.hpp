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
  line_start = 0,    // CRLF, or nothing yet
  in_line = 1,       // … x
  after_cr = 2,      // … x CR
  after_dot = 3,     // CRLF .
  after_dot_cr = 4,  // CRLF . CR
  ended = 5,         // CRLF . CR LF
};

// The position in a state.
[[nodiscard]] constexpr ScanPosition scan_position(std::uint32_t state) noexcept {
  return static_cast<ScanPosition>(state & 0x07);
}

// What may have been met, in a state.
inline constexpr std::uint32_t bare_cr_flag = 0x08;
inline constexpr std::uint32_t bare_lf_flag = 0x10;
inline constexpr std::uint32_t nul_flag = 0x20;
inline constexpr std::uint32_t long_line_flag = 0x40;

struct BodyScan {
  std::size_t index;    // behind CRLF.CRLF when the message has ended, else the number of octets
  std::uint32_t state;  // to go on from
};

// Scans all octets, going on from `state` (0 at the message's first octet). O(octets).
[[nodiscard]] BodyScan scan_body(std::span<const std::uint8_t> octets, std::uint32_t state,
                                 SimdLevel level) noexcept;

}  // namespace activemx
