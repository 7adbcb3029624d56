// PROXY protocol header: see proxy_header.hpp.
#include "core/proxy_header.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <string_view>

namespace activemx {
namespace {

constexpr std::string_view signature{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr std::string_view line_start{"PROXY "};
constexpr ProxyHeader incomplete{ProxyHeaderKind::incomplete, 0, {}, {}};
constexpr ProxyHeader invalid{};

// One is the beginning of the other.
bool starts_alike(std::string_view octets, std::string_view start) noexcept {
  const std::size_t length = std::min(octets.size(), start.size());
  return octets.substr(0, length) == start.substr(0, length);
}

// A line feed, or a carriage return that is not the last octet so far.
bool has_stray(std::string_view text) noexcept {
  const std::size_t at = text.find('\r');
  const bool is_last = at == std::string_view::npos || at + 1 == text.size();
  return !is_last || text.find('\n') != std::string_view::npos;
}

bool parse_port(std::string_view text, std::uint16_t& port) noexcept {
  if (text.empty() || text.size() > 5 || (text[0] == '0' && text.size() > 1)) return false;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), port);
  return fault == std::errc{} && end == text.data() + text.size();
}

bool parse_address(std::string_view text, int family, IpAddress& address) noexcept {
  char terminated[address_text_max] = {};
  if (text.empty() || text.size() >= sizeof terminated) return false;
  if (text.find('\0') != std::string_view::npos) return false;
  std::memcpy(terminated, text.data(), text.size());
  std::uint8_t octets[16];
  if (inet_pton(family, terminated, octets) != 1) return false;
  return read_address(terminated, address);
}

// §2.1  "PROXY" SP ("TCP4" / "TCP6") SP source SP destination SP port SP destination-port CRLF
//       "PROXY UNKNOWN" anything CRLF
ProxyHeader parse_line(std::string_view all) noexcept {
  const std::string_view text = all.substr(0, proxy_line_octets_max);
  const std::size_t end = text.find("\r\n");
  if (end == std::string_view::npos) {
    return all.size() >= proxy_line_octets_max || has_stray(text) ? invalid : incomplete;
  }
  const std::string_view line = text.substr(0, end);
  if (has_stray(line) || line.find('\r') != std::string_view::npos) return invalid;
  ProxyHeader header{ProxyHeaderKind::local, end + 2, {}, {}};
  if (line == "PROXY UNKNOWN" || line.starts_with("PROXY UNKNOWN ")) return header;
  std::array<std::string_view, 6> words;
  std::size_t count = 0;
  for (std::string_view rest = line;; ++count) {
    const std::size_t space = rest.find(' ');
    if (count == words.size()) return invalid;
    words[count] = rest.substr(0, space);
    if (space == std::string_view::npos) break;
    rest.remove_prefix(space + 1);
  }
  const int family = words[1] == "TCP4" ? AF_INET : words[1] == "TCP6" ? AF_INET6 : AF_UNSPEC;
  const bool is_whole = count == 5 && family != AF_UNSPEC &&
                        parse_address(words[2], family, header.source.address) &&
                        parse_address(words[3], family, header.destination.address) &&
                        parse_port(words[4], header.source.port) &&
                        parse_port(words[5], header.destination.port);
  header.kind = ProxyHeaderKind::proxied;
  return is_whole ? header : invalid;
}

std::uint16_t load16(const std::uint8_t* octets) noexcept {
  return static_cast<std::uint16_t>(octets[0] << 8 | octets[1]);
}

// §2.2.1  type 8 | length 16 | value
bool has_whole_values(std::span<const std::uint8_t> values) noexcept {
  std::size_t at = 0;
  while (at + 3 <= values.size()) at += 3U + load16(values.data() + at + 1);
  return at == values.size();
}

IpAddress binary_address(const std::uint8_t* octets, std::size_t length) noexcept {
  if (length == 16) return IpAddress::from_octets(octets);
  return IpAddress::from_ipv4(static_cast<std::uint32_t>(load16(octets)) << 16 |
                              load16(octets + 2));
}

// §2.2  signature 12 | version 4 bits, command 4 bits | family 4, transport 4 | length 16 |
//       addresses, type-length values
ProxyHeader parse_binary(std::span<const std::uint8_t> octets) noexcept {
  if (octets.size() > 12 && (octets[12] & 0xfe) != 0x20) return invalid;
  if (octets.size() < 16) return incomplete;
  const std::size_t length = load16(octets.data() + 14);
  ProxyHeader header{ProxyHeaderKind::local, 16 + length, {}, {}};
  const bool is_local = octets[12] == 0x20;
  const std::uint8_t family = octets[13];
  const std::size_t address_octets = family == 0x11 ? 12 : family == 0x21 ? 36 : 0;
  if (header.octets > proxy_header_octets_max) return invalid;
  const bool is_known = family == 0 || address_octets > 0;
  if (!is_local && (!is_known || length < address_octets)) return invalid;
  if (octets.size() < header.octets) return incomplete;
  if (is_local || family == 0) return header;
  const auto values = octets.subspan(16 + address_octets, length - address_octets);
  if (!has_whole_values(values)) return invalid;
  const std::size_t half = (address_octets - 4) / 2;
  const std::uint8_t* at = octets.data() + 16;
  header.kind = ProxyHeaderKind::proxied;
  header.source = {binary_address(at, half), load16(at + 2 * half)};
  header.destination = {binary_address(at + half, half), load16(at + 2 * half + 2)};
  return header;
}

}  // namespace

ProxyHeader parse_proxy_header(std::span<const std::uint8_t> octets) noexcept {
  const std::string_view text(reinterpret_cast<const char*>(octets.data()), octets.size());
  if (text.empty()) return incomplete;
  if (starts_alike(text, signature)) return parse_binary(octets);
  if (starts_alike(text, line_start)) return parse_line(text);
  return invalid;
}

}  // namespace activemx
