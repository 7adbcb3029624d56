// Any octets: as a text, an address or a refusal, and what is read is written so that it reads the
// same; as 16 octets, an address whose text reads the same, and which a socket address carries.
#include "core/ip_address.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

using activemx::Endpoint;
using activemx::endpoint_of;
using activemx::fill_sockaddr;
using activemx::IpAddress;
using activemx::read_address;

namespace {

constexpr std::size_t text_octets_max = 64;

void claim(bool holds) {
  if (!holds) std::abort();
}

void check_round_trip(const IpAddress& address, std::uint16_t port) {
  char text[activemx::address_text_max];
  const std::size_t length = write_address(address, text);
  claim(length >= 2 && length < sizeof text && text[length] == '\0');
  claim(std::string_view(text, length).find('\0') == std::string_view::npos);
  claim((std::string_view(text, length).find(':') == std::string_view::npos) == address.is_ipv4());
  IpAddress again;
  claim(read_address(text, again) && again == address);
  sockaddr_storage storage;
  claim(fill_sockaddr({address, port}, storage) <= sizeof storage);
  const Endpoint carried = endpoint_of(storage);
  claim(carried.address == address && carried.port == port);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), std::min(size, text_octets_max));
  IpAddress address;
  if (read_address(text.c_str(), address)) check_round_trip(address, 25);
  if (size >= 16) check_round_trip(IpAddress::from_octets(data), data[0]);
  return 0;
}
