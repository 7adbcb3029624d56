// Addresses as texts: what is read, what is refused, and the one text that is written
// (RFC 5952 §4).
#include "core/ip_address.hpp"

#include <string>

#include "checks.hpp"

namespace activemx::test {
namespace {

struct Case {
  const char* text;
  const char* written;  // null = refused
};

constexpr Case cases[] = {
    {"192.0.2.7", "192.0.2.7"},
    {"0.0.0.0", "0.0.0.0"},
    {"255.255.255.255", "255.255.255.255"},
    {"::ffff:192.0.2.7", "192.0.2.7"},
    {"::FFFF:C000:207", "192.0.2.7"},
    {"2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a"},
    {"::", "::"},
    {"::1", "::1"},
    {"::c000:207", "::c000:207"},  // not the deprecated ::192.0.2.7
    {"fe80::1", "fe80::1"},
    {"192.0.2.07", nullptr},
    {"192.0.2", nullptr},
    {"192.0.2.256", nullptr},
    {"192.0.2.7 ", nullptr},
    {"fe80::1%eth0", nullptr},
    {"1::2::3", nullptr},
    {"12345::", nullptr},
    {"", nullptr},
};

void check_cases() {
  for (const Case& one : cases) {
    IpAddress address;
    const bool is_read = read_address(one.text, address);
    check(is_read == (one.written != nullptr), one.text);
    if (!is_read) continue;
    char text[address_text_max];
    const std::size_t length = write_address(address, text);
    check(std::string(text, length) == one.written, one.text);
  }
}

void check_random() {
  Random random(seed());
  for (int i = 0; i < 100'000; ++i) {
    IpAddress address = random.chance(30)
                            ? IpAddress::from_ipv4(static_cast<std::uint32_t>(random.next()))
                            : IpAddress{random.next(), random.next()};
    // Runs of zeros, which the text shortens.
    if (random.chance(50)) address.low &= random.next() & random.next();
    if (random.chance(20)) address.high = 0;
    char text[address_text_max];
    write_address(address, text);
    IpAddress again;
    check(read_address(text, again) && again == address, text);
    sockaddr_storage storage;
    const auto port = static_cast<std::uint16_t>(random.next());
    check(fill_sockaddr({address, port}, storage) <= sizeof storage, "fits");
    const Endpoint carried = endpoint_of(storage);
    check(carried.address == address && carried.port == port, "carried");
  }
}

}  // namespace
}  // namespace activemx::test

int main() {
  activemx::test::check_cases();
  activemx::test::check_random();
  return 0;
}
