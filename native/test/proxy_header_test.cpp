// PROXY headers: whole, cut at every octet, and everything that must close the connection.
#include "core/proxy_header.hpp"

#include <string>
#include <string_view>
#include <vector>

#include "checks.hpp"

namespace activemx::test {
namespace {

using namespace std::string_literals;

ProxyHeader parse(std::string_view octets) {
  // A copy of exactly this size, so that the sanitizer sees a read beyond it.
  const std::vector<std::uint8_t> exact(octets.begin(), octets.end());
  return parse_proxy_header(exact);
}

// Every beginning is incomplete; the whole is what was said; more octets change nothing.
void check_whole(std::string_view header, ProxyHeaderKind kind) {
  for (std::size_t cut = 0; cut < header.size(); ++cut) {
    check(parse(header.substr(0, cut)).kind == ProxyHeaderKind::incomplete, "a beginning");
  }
  for (const std::string_view more : {""s, "EHLO x\r\n"s, "\0\0"s}) {
    const ProxyHeader parsed = parse(std::string(header) + std::string(more));
    check(parsed.kind == kind && parsed.octets == header.size(), "the whole");
  }
}

int run() {
  const std::string signature = "\r\n\r\n\0\r\nQUIT\n"s;
  const std::string ipv4 = "\xcb\0\x71\x09\xc0\0\x02\x0a\x0f\xa0\0\x19"s;
  check_whole("PROXY TCP4 203.0.113.9 192.0.2.10 4000 25\r\n", ProxyHeaderKind::proxied);
  check_whole("PROXY TCP6 2001:db8::9 ::ffff:192.0.2.10 0 65535\r\n", ProxyHeaderKind::proxied);
  check_whole("PROXY UNKNOWN\r\n", ProxyHeaderKind::local);
  check_whole("PROXY UNKNOWN a b c d\r\n", ProxyHeaderKind::local);
  check_whole(signature + "\x21\x11\0\x0c"s + ipv4, ProxyHeaderKind::proxied);
  check_whole(signature + "\x21\x11\0\x10"s + ipv4 + "\x04\0\x01Z"s, ProxyHeaderKind::proxied);
  check_whole(signature + "\x20\x11\0\x03\x01\x02\x03"s, ProxyHeaderKind::local);
  check_whole(signature + "\x21\0\0\0"s, ProxyHeaderKind::local);
  const ProxyHeader parsed = parse(signature + "\x21\x11\0\x0c"s + ipv4);
  check(parsed.source.address == IpAddress::from_ipv4(0xcb007109) && parsed.source.port == 4000 &&
            parsed.destination.port == 25,
        "addresses");
  const std::string refused[] = {
      "PROXY TCP4 203.0.113.9 192.0.2.10 4000 25\n",
      "PROXY TCP4 203.0.113.9 192.0.2.10 04000 25\r\n",
      "PROXY TCP4 203.0.113.9 192.0.2.10 65536 25\r\n",
      "PROXY TCP4 203.0.113.9 192.0.2.10 4000 25 \r\n",
      "PROXY TCP4 203.0.113.9  192.0.2.10 4000 25\r\n",
      "PROXY TCP4 0203.0.113.9 192.0.2.10 4000 25\r\n",
      "PROXY TCP4 2001:db8::9 192.0.2.10 4000 25\r\n",
      "PROXY TCP6 203.0.113.9 192.0.2.10 4000 25\r\n",
      "PROXY TCP6 fe80::1%eth0 ::1 4000 25\r\n",
      "PROXY UNKNOWNX\r\n",
      "PROXY UNKNOWN\r\r\n",
      "proxy TCP4 203.0.113.9 192.0.2.10 4000 25\r\n",
      "PROXY TCP4 " + std::string(100, '1'),
      signature + "\x11\x11\0\x0c"s + ipv4,
      signature + "\x22\x11\0\x0c"s + ipv4,
      signature + "\x21\x12\0\x0c"s + ipv4,
      signature + "\x21\x11\0\0"s,
      signature + "\x21\x11\0\x10"s + ipv4 + "\x04\0\xff" "A"s,
      signature + "\x21\x11\xff\xff"s,
  };
  for (const std::string& header : refused) {
    check(parse(header).kind == ProxyHeaderKind::invalid, header.c_str());
  }
  return 0;
}

}  // namespace
}  // namespace activemx::test

int main() { return activemx::test::run(); }
