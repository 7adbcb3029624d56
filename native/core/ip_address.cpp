// IpAddress: conversions. See ip_address.hpp.
#include "core/ip_address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstdio>
#include <cstring>

namespace activemx {
namespace {

std::uint64_t load_big_endian(const std::uint8_t* octets) noexcept {
  std::uint64_t value = 0;
  for (int at = 0; at < 8; ++at) value = value << 8 | octets[at];
  return value;
}

void store_big_endian(std::uint64_t value, std::uint8_t* octets) noexcept {
  for (int at = 7; at >= 0; --at) {
    octets[at] = static_cast<std::uint8_t>(value);
    value >>= 8;
  }
}

// One decimal octet without leading zeros.
char* write_octet(unsigned octet, char* at) noexcept {
  if (octet >= 100) *at++ = static_cast<char>('0' + octet / 100);
  if (octet >= 10) *at++ = static_cast<char>('0' + octet / 10 % 10);
  *at++ = static_cast<char>('0' + octet % 10);
  return at;
}

}  // namespace

IpAddress IpAddress::from_octets(const std::uint8_t* octets) noexcept {
  return {load_big_endian(octets), load_big_endian(octets + 8)};
}

std::size_t write_address(const IpAddress& address, char (&text)[address_text_max]) noexcept {
  if (address.is_ipv4()) {
    const std::uint32_t bits = address.ipv4();
    char* at = write_octet(bits >> 24, text);
    for (int shift = 16; shift >= 0; shift -= 8) {
      *at++ = '.';
      at = write_octet(bits >> shift & 255, at);
    }
    *at = '\0';
    return static_cast<std::size_t>(at - text);
  }
  if (address.high == 0 && address.low >> 32 == 0 && address.low > 0xffff) {
    // inet_ntop would write the deprecated `::192.0.2.1` of RFC 4291 §2.5.5.1.
    const int length = std::snprintf(text, address_text_max, "::%x:%x",
                                     static_cast<unsigned>(address.low >> 16),
                                     static_cast<unsigned>(address.low & 0xffff));
    return static_cast<std::size_t>(length);
  }
  in6_addr octets;
  store_big_endian(address.high, octets.s6_addr);
  store_big_endian(address.low, octets.s6_addr + 8);
  if (inet_ntop(AF_INET6, &octets, text, address_text_max) == nullptr) text[0] = '\0';
  return std::strlen(text);
}

bool read_address(const char* text, IpAddress& address) noexcept {
  in_addr ipv4;
  if (inet_pton(AF_INET, text, &ipv4) == 1) {
    address = IpAddress::from_ipv4(ntohl(ipv4.s_addr));
    return true;
  }
  in6_addr ipv6;
  if (inet_pton(AF_INET6, text, &ipv6) != 1) return false;
  address = IpAddress::from_octets(ipv6.s6_addr);
  return true;
}

Endpoint endpoint_of(const sockaddr_storage& storage) noexcept {
  if (storage.ss_family == AF_INET) {
    sockaddr_in ipv4;
    std::memcpy(&ipv4, &storage, sizeof ipv4);
    return {IpAddress::from_ipv4(ntohl(ipv4.sin_addr.s_addr)), ntohs(ipv4.sin_port)};
  }
  sockaddr_in6 ipv6;
  std::memcpy(&ipv6, &storage, sizeof ipv6);
  return {IpAddress::from_octets(ipv6.sin6_addr.s6_addr), ntohs(ipv6.sin6_port)};
}

socklen_t fill_sockaddr(const Endpoint& endpoint, sockaddr_storage& storage) noexcept {
  std::memset(&storage, 0, sizeof storage);
  if (endpoint.address.is_ipv4()) {
    sockaddr_in ipv4{};
    ipv4.sin_family = AF_INET;
    ipv4.sin_port = htons(endpoint.port);
    ipv4.sin_addr.s_addr = htonl(endpoint.address.ipv4());
    std::memcpy(&storage, &ipv4, sizeof ipv4);
    return sizeof ipv4;
  }
  sockaddr_in6 ipv6{};
  ipv6.sin6_family = AF_INET6;
  ipv6.sin6_port = htons(endpoint.port);
  store_big_endian(endpoint.address.high, ipv6.sin6_addr.s6_addr);
  store_big_endian(endpoint.address.low, ipv6.sin6_addr.s6_addr + 8);
  std::memcpy(&storage, &ipv6, sizeof ipv6);
  return sizeof ipv6;
}

}  // namespace activemx
