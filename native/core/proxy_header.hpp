// The PROXY protocol header that a balancer sends before the client's octets, versions 1 and 2.
//
// Pure: octets in, value out; any thread. Twin of src/io/proxy-header.ts, which states the
// decisions. Source: haproxy/doc/proxy-protocol.txt §2.1, §2.2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/ip_address.hpp"

namespace activemx {

inline constexpr std::size_t proxy_line_octets_max = 107;
inline constexpr std::size_t proxy_header_octets_max = 4096;

enum class ProxyHeaderKind : std::uint8_t {
  incomplete,  // a beginning of a header
  invalid,     // cannot become one
  local,       // the balancer speaks for itself, or does not know the client
  proxied,
};

struct ProxyHeader {
  ProxyHeaderKind kind = ProxyHeaderKind::invalid;
  std::size_t octets = 0;  // length of the header, for local and proxied
  Endpoint source;
  Endpoint destination;
};

[[nodiscard]] ProxyHeader parse_proxy_header(std::span<const std::uint8_t> octets) noexcept;

}  // namespace activemx
