// The body scanner at every instruction level: known sequences, and random ones cut at every octet.
#include "core/body_scanner.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

#include "test/checks.hpp"

namespace {

using activemx::BodyScan;
using activemx::ScanPosition;
using activemx::SimdLevel;
using activemx::test::check;

std::span<const std::uint8_t> octets_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

void check_case(std::string_view text, std::size_t index, std::uint32_t state) {
  for (const SimdLevel level : {SimdLevel::scalar, activemx::best_simd()}) {
    const BodyScan scan = activemx::scan_body(octets_of(text), 0, level);
    check(scan.index == index, "index");
    check((scan.state & 0xff) == state, "state");
  }
}

void known_sequences() {
  using namespace std::string_view_literals;
  constexpr auto ended = static_cast<std::uint32_t>(ScanPosition::ended);
  check_case(".\r\n", 3, ended);
  check_case("a\r\n.\r\nNEXT", 6, ended);
  check_case("a\n.\n", 4, 1 | activemx::bare_lf_flag);
  check_case("a\r.\r\n", 5, 0 | activemx::bare_cr_flag);
  check_case("a\r\n.\0\r\n"sv, 7, 0 | activemx::nul_flag);
  check_case("a\r\n.\r", 5, 4);
  check_case("a\r\n.", 4, 3);
  check_case("a\r\n..\r\n", 7, 0);
  check_case("", 0, 0);
  check_case(std::string_view(std::vector<char>(998, 'a').data(), 998), 998, 1);
  check_case(std::string_view(std::vector<char>(999, 'a').data(), 999), 999,
             1 | activemx::long_line_flag);
}

void cut_anywhere() {
  activemx::test::Random random(activemx::test::seed());
  constexpr std::uint8_t letters[] = {'\r', '\n', '.', 0, 'a', 'b'};
  for (int round = 0; round < 400; ++round) {
    std::vector<std::uint8_t> octets(random.below(200));
    const bool is_dense = random.chance(50);
    for (auto& octet : octets) {
      octet = is_dense || random.chance(5) ? letters[random.below(sizeof letters)] : 'x';
    }
    const BodyScan whole = activemx::scan_body(octets, 0, SimdLevel::scalar);
    const BodyScan fast = activemx::scan_body(octets, 0, activemx::best_simd());
    check(whole.index == fast.index && whole.state == fast.state, "levels agree");
    for (std::size_t cut = 0; cut <= whole.index; ++cut) {
      const std::span<const std::uint8_t> all(octets);
      const BodyScan head = activemx::scan_body(all.first(cut), 0, activemx::best_simd());
      const BodyScan tail =
          activemx::scan_body(all.subspan(head.index), head.state, activemx::best_simd());
      check(head.index + tail.index == whole.index && tail.state == whole.state, "cut");
    }
  }
}

}  // namespace

int main() {
  known_sequences();
  cut_anywhere();
  return 0;
}
