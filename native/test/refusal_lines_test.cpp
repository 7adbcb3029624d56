// RefusalLines: order, places, and where it stops.
#include "gate/refusal_lines.hpp"

#include "checks.hpp"

namespace activemx::test {
namespace {

using Place = RefusalLines::Place;
using Stop = RefusalLines::Stop;

RefusalEntry entry_at(double time_ms, std::uint16_t verdict_class) {
  RefusalEntry entry;
  entry.time_ms = time_ms;
  entry.address_low = 0xffff'0000'0000ULL | 0x7f000107;
  entry.id = RefusalId::make(1, 2);
  entry.port = 65'535;
  entry.verdict_class = verdict_class;
  return entry;
}

void test_stops_where_it_must() {
  RefusalLines lines;
  std::vector<RefusalEntry> entries{entry_at(5'007, 1), entry_at(5'999, 1), entry_at(6'000, 1),
                                    entry_at(6'000, 2)};
  char text[1024];
  check(lines.write(entries, text).stop == Stop::form, "an unknown form");
  lines.set_form(RefusalLines::kind_of(entries[0]),
                 {{Place::second, {}}, {Place::text, "."}, {Place::millisecond, {}},
                  {Place::text, " "}, {Place::address, {}}, {Place::text, ":"}, {Place::port, {}},
                  {Place::text, " "}, {Place::id, {}}, {Place::text, "\n"}});
  check(lines.write(entries, text).stop == Stop::second, "an unknown second");
  lines.set_second(5, "five");
  const auto written = lines.write(entries, text);
  check(written.stop == Stop::second && written.entries == 2, "the next second");
  check(std::string_view(text, written.octets) ==
            "five.007 127.0.1.7:65535 000000010002\nfive.999 127.0.1.7:65535 000000010002\n",
        "what is filled in");
  lines.set_second(6, "six");
  lines.set_form(RefusalLines::kind_of(entries[3]), {});
  const std::span rest = std::span(entries).subspan(2);
  check(lines.write(rest, text).stop == Stop::outside, "no form");
  check(lines.write(rest, std::span(text, 20)).stop == Stop::full, "no room");
  entries[2].octets = 1;
  check(lines.write(rest, text).entries == 0, "octets of the client are not in the form");
}

}  // namespace
}  // namespace activemx::test

int main() {
  activemx::test::test_stops_where_it_must();
  return 0;
}
