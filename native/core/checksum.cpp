// CRC-32C, see checksum.hpp.
#include "core/checksum.hpp"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace activemx {
namespace {

constexpr std::uint32_t reversed_polynomial = 0x82f6'3b78;

[[nodiscard]] constexpr std::array<std::uint32_t, 256> octet_remainders() {
  std::array<std::uint32_t, 256> remainders{};
  for (std::uint32_t octet = 0; octet < 256; ++octet) {
    std::uint32_t remainder = octet;
    for (int bit = 0; bit < 8; ++bit) {
      remainder = remainder >> 1 ^ ((remainder & 1) != 0 ? reversed_polynomial : 0);
    }
    remainders[octet] = remainder;
  }
  return remainders;
}

constexpr auto remainders = octet_remainders();

}  // namespace

std::uint32_t crc32c_scalar(std::span<const std::byte> octets) noexcept {
  std::uint32_t crc = ~std::uint32_t{0};
  for (const std::byte octet : octets) {
    crc = crc >> 8 ^ remainders[(crc ^ static_cast<std::uint32_t>(octet)) & 0xff];
  }
  return ~crc;
}

#if defined(__x86_64__)

// x86-64-v2, the baseline of the build, has SSE 4.2.
std::uint32_t crc32c(std::span<const std::byte> octets) noexcept {
  std::uint64_t crc = ~std::uint32_t{0};
  std::size_t at = 0;
  for (; at + 8 <= octets.size(); at += 8) {
    std::uint64_t word;
    std::memcpy(&word, &octets[at], sizeof word);
    crc = _mm_crc32_u64(crc, word);
  }
  auto tail = static_cast<std::uint32_t>(crc);
  for (; at < octets.size(); ++at) tail = _mm_crc32_u8(tail, static_cast<std::uint8_t>(octets[at]));
  return ~tail;
}

#else

std::uint32_t crc32c(std::span<const std::byte> octets) noexcept { return crc32c_scalar(octets); }

#endif

}  // namespace activemx
