// Blocks of 64 octets are turned into a mask of the three octets that matter (CR, LF, NUL); the
// state machine runs over its set bits only, with the ordinary octets between two of them as one
// step. So base64 costs a few instructions a block, and hostile two-octet lines no more than a byte
// loop.
#include "core/body_scanner.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace activemx {
namespace {

constexpr std::uint8_t cr_octet = 0x0d;
constexpr std::uint8_t lf_octet = 0x0a;
constexpr std::uint8_t dot_octet = 0x2e;
constexpr std::size_t block_octets = 64;
constexpr std::uint32_t flag_mask = 0xf8;
constexpr std::uint32_t line_shift = 8;
constexpr std::int64_t line_octets_count_max = 0xffff;
// RFC 5322 §2.1.1, without CRLF.
constexpr std::int64_t text_line_octets_max = 998;

// Bit i is set when octet i of the block is CR, LF or NUL.
using BlockMask = std::uint64_t (*)(const std::uint8_t* block) noexcept;

#if defined(__x86_64__)
// Every x86-64 has SSE2: where AVX2 is missing this is the fallback, steady on hostile lines where
// three memchr would walk the same octets thrice.
std::uint64_t mask_sse2(const std::uint8_t* block) noexcept {
  const __m128i cr = _mm_set1_epi8(cr_octet);
  const __m128i lf = _mm_set1_epi8(lf_octet);
  const __m128i nul = _mm_setzero_si128();
  std::uint64_t mask = 0;
  for (std::size_t i = 0; i < block_octets; i += 16) {
    const __m128i part = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + i));
    const __m128i line = _mm_or_si128(_mm_cmpeq_epi8(part, cr), _mm_cmpeq_epi8(part, lf));
    const __m128i all = _mm_or_si128(line, _mm_cmpeq_epi8(part, nul));
    mask |= static_cast<std::uint64_t>(static_cast<std::uint32_t>(_mm_movemask_epi8(all))) << i;
  }
  return mask;
}

__attribute__((target("avx2"))) std::uint64_t mask_avx2(const std::uint8_t* block) noexcept {
  const __m256i cr = _mm256_set1_epi8(cr_octet);
  const __m256i lf = _mm256_set1_epi8(lf_octet);
  const __m256i nul = _mm256_setzero_si256();
  std::uint64_t mask = 0;
  for (std::size_t i = 0; i < block_octets; i += 32) {
    const __m256i part = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block + i));
    const __m256i line = _mm256_or_si256(_mm256_cmpeq_epi8(part, cr), _mm256_cmpeq_epi8(part, lf));
    const __m256i all = _mm256_or_si256(line, _mm256_cmpeq_epi8(part, nul));
    mask |= static_cast<std::uint64_t>(static_cast<std::uint32_t>(_mm256_movemask_epi8(all))) << i;
  }
  return mask;
}
#else
std::uint64_t mask_scalar(const std::uint8_t* block) noexcept {
  std::uint64_t mask = 0;
  for (std::size_t i = 0; i < block_octets; ++i) {
    const std::uint8_t octet = block[i];
    const bool matters = octet == cr_octet || octet == lf_octet || octet == 0;
    mask |= static_cast<std::uint64_t>(matters) << i;
  }
  return mask;
}
#endif

BlockMask mask_of(SimdLevel level) noexcept {
#if defined(__x86_64__)
  return level >= SimdLevel::avx2 ? mask_avx2 : mask_sse2;
#else
  (void)level;
  return mask_scalar;
#endif
}

bool is_after_cr(ScanPosition position) noexcept {
  return position == ScanPosition::after_cr || position == ScanPosition::after_dot_cr;
}

// The state machine over one chunk; lives on the stack of scan_body.
class Scan {
 public:
  Scan(const std::uint8_t* octets, std::uint32_t state) noexcept
      : octets_(octets),
        position_(scan_position(state)),
        flags_(state & flag_mask) {
    const std::int64_t kept = is_after_cr(position_) ? 1 : 0;
    line_start_ = -static_cast<std::int64_t>(state >> line_shift) - kept;
  }

  // Octets [at_, index) are ordinary, the one at index is CR, LF or NUL. True: the message ended.
  bool take_special(std::int64_t index) noexcept {
    if (index > at_) take_ordinary(index);
    const std::uint8_t octet = octets_[index];
    at_ = index + 1;
    if (octet == lf_octet) return take_lf();
    if (is_after_cr(position_)) flags_ |= bare_cr_flag;
    if (octet == cr_octet) {
      const bool is_dot_line = position_ == ScanPosition::after_dot;
      position_ = is_dot_line ? ScanPosition::after_dot_cr : ScanPosition::after_cr;
      return false;
    }
    flags_ |= nul_flag;
    position_ = ScanPosition::in_line;
    return false;
  }

  // Octets [at_, end) hold no CR, LF or NUL; there is at least one.
  void take_ordinary(std::int64_t end) noexcept {
    if (position_ == ScanPosition::line_start && octets_[at_] == dot_octet) {
      line_start_ = at_ + 1;
      position_ = end - at_ == 1 ? ScanPosition::after_dot : ScanPosition::in_line;
    } else {
      if (is_after_cr(position_)) flags_ |= bare_cr_flag;
      position_ = ScanPosition::in_line;
    }
    at_ = end;
  }

  BodyScan finish(std::int64_t end) noexcept {
    if (end > at_) take_ordinary(end);
    const std::int64_t octets = end - line_start_ - (is_after_cr(position_) ? 1 : 0);
    if (octets > text_line_octets_max) flags_ |= long_line_flag;
    return packed(end, std::min(octets, line_octets_count_max));
  }

  BodyScan ended() const noexcept { return packed(at_, 0); }

 private:
  bool take_lf() noexcept {
    if (position_ == ScanPosition::after_cr) {
      if (at_ - 2 - line_start_ > text_line_octets_max) flags_ |= long_line_flag;
      position_ = ScanPosition::line_start;
      line_start_ = at_;
      return false;
    }
    if (position_ == ScanPosition::after_dot_cr) {
      position_ = ScanPosition::ended;
      return true;
    }
    flags_ |= bare_lf_flag;
    position_ = ScanPosition::in_line;
    return false;
  }

  BodyScan packed(std::int64_t index, std::int64_t line_octets) const noexcept {
    const auto counted = static_cast<std::uint32_t>(line_octets) << line_shift;
    return {static_cast<std::size_t>(index),
            counted | flags_ | static_cast<std::uint32_t>(position_)};
  }

  const std::uint8_t* octets_;
  ScanPosition position_;
  std::uint32_t flags_;
  std::int64_t at_ = 0;
  std::int64_t line_start_;  // may lie before the chunk
};

}  // namespace

BodyScan scan_body(std::span<const std::uint8_t> octets, std::uint32_t state,
                   SimdLevel level) noexcept {
  if (scan_position(state) >= ScanPosition::ended) return {0, state};
  const BlockMask block_mask = mask_of(level);
  Scan scan(octets.data(), state);
  std::uint8_t tail[block_octets];
  for (std::size_t block = 0; block < octets.size(); block += block_octets) {
    const std::size_t left = octets.size() - block;
    const std::uint8_t* source = octets.data() + block;
    if (left < block_octets) {
      // An ordinary octet fills up what is missing: no bit is set for it.
      std::memset(tail, dot_octet, sizeof tail);
      std::memcpy(tail, source, left);
      source = tail;
    }
    for (std::uint64_t mask = block_mask(source); mask != 0; mask &= mask - 1) {
      const auto index = block + static_cast<std::size_t>(std::countr_zero(mask));
      if (scan.take_special(static_cast<std::int64_t>(index))) return scan.ended();
    }
  }
  return scan.finish(static_cast<std::int64_t>(octets.size()));
}

}  // namespace activemx
