// Any octets, cut anywhere: at every instruction level the scanner answers as the rules of RFC 5321
// do, applied one octet at a time, and it never reads outside its input.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "core/body_scanner.hpp"

namespace {

using activemx::BodyScan;
using activemx::ScanPosition;
using activemx::SimdLevel;

// The slow, obvious twin: the message so far is looked at as a whole.
struct Oracle {
  bool has_ended = false;
  std::size_t index = 0;
  std::uint32_t flags = 0;

  explicit Oracle(const std::vector<std::uint8_t>& octets) {
    const auto at = [&](std::size_t i) { return i < octets.size() ? octets[i] : 0xff; };
    for (std::size_t i = 0; i < octets.size(); ++i) {
      const bool is_line_start = i == 0 || (i > 1 && at(i - 2) == '\r' && at(i - 1) == '\n');
      if (is_line_start && at(i) == '.' && at(i + 1) == '\r' && at(i + 2) == '\n') {
        has_ended = true;
        index = i + 3;
        return;
      }
      if (at(i) == 0) flags |= activemx::nul_flag;
      if (at(i) == '\n' && (i == 0 || at(i - 1) != '\r')) flags |= activemx::bare_lf_flag;
      if (at(i) == '\r' && i + 1 < octets.size() && at(i + 1) != '\n') {
        flags |= activemx::bare_cr_flag;
      }
    }
    index = octets.size();
  }
};

constexpr std::uint32_t stray_flags =
    activemx::bare_cr_flag | activemx::bare_lf_flag | activemx::nul_flag;

void require(bool claim) {
  if (!claim) std::abort();
}

// Each chunk in memory of its own size, so that the sanitizer sees a read beyond it.
BodyScan scan_cut(const std::vector<std::uint8_t>& octets, std::size_t piece, SimdLevel level) {
  BodyScan scan{0, 0};
  std::size_t from = 0;
  while (from < octets.size()) {
    const std::size_t count = std::min(piece, octets.size() - from);
    const auto begin = octets.begin() + static_cast<std::ptrdiff_t>(from);
    const std::vector<std::uint8_t> chunk(begin, begin + static_cast<std::ptrdiff_t>(count));
    scan = activemx::scan_body(chunk, scan.state, level);
    scan.index += from;
    if (activemx::scan_position(scan.state) == ScanPosition::ended) return scan;
    from += count;
  }
  return scan;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::size_t piece = data[0] == 0 ? 1 : data[0];
  // Few letters, so that the interesting sequences come often; every fourth input is taken raw.
  static constexpr std::uint8_t letters[] = {'\r', '\n', '.', 0, 'a', '\r', '\n', '.'};
  std::vector<std::uint8_t> octets(data + 1, data + size);
  if (data[0] % 4 != 0) {
    for (auto& octet : octets) octet = letters[octet % sizeof letters];
  }
  const Oracle oracle(octets);
  const BodyScan whole = activemx::scan_body(octets, 0, activemx::best_simd());
  require(whole.index == oracle.index);
  require((whole.state & stray_flags) == oracle.flags);
  require((activemx::scan_position(whole.state) == ScanPosition::ended) ==
          oracle.has_ended);
  for (const SimdLevel level : {SimdLevel::scalar, activemx::best_simd()}) {
    for (const std::size_t pieces : {piece, std::size_t{1}, octets.size() + 1}) {
      const BodyScan cut = scan_cut(octets, pieces, level);
      require(cut.index == whole.index && cut.state == whole.state);
    }
  }
  return 0;
}
