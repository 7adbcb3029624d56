// IpAddress: an address as the sockets give it, in one form: IPv4 as IPv4-mapped IPv6.
//
// A value; any thread.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

namespace activemx {

struct IpAddress {
  std::uint64_t high = 0;  // host byte order
  std::uint64_t low = 0;

  [[nodiscard]] bool is_ipv4() const noexcept { return high == 0 && (low >> 32) == 0xffff; }
  [[nodiscard]] std::uint32_t ipv4() const noexcept { return static_cast<std::uint32_t>(low); }

  [[nodiscard]] static IpAddress from_ipv4(std::uint32_t host_order) noexcept {
    return {0, 0xffff'0000'0000ULL | host_order};
  }
  // 16 octets in network order.
  [[nodiscard]] static IpAddress from_octets(const std::uint8_t* octets) noexcept;

  bool operator==(const IpAddress&) const noexcept = default;
};

// An address with its port.
struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;
};

// The longest text of an address with its terminating zero.
inline constexpr std::size_t address_text_max = 46;

// Writes the shortest text (RFC 5952; IPv4 dotted), answers its length without the zero.
std::size_t write_address(const IpAddress& address, char (&text)[address_text_max]) noexcept;

// Reads an address without zone; false if it is none.
[[nodiscard]] bool read_address(const char* text, IpAddress& address) noexcept;

// From and to what the kernel takes.
[[nodiscard]] Endpoint endpoint_of(const sockaddr_storage& storage) noexcept;
socklen_t fill_sockaddr(const Endpoint& endpoint, sockaddr_storage& storage) noexcept;

}  // namespace activemx
