// Any octets: a kind and, for a header, a length within the octets; cut before its end it is
// incomplete; what follows it changes nothing.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "core/proxy_header.hpp"

using activemx::parse_proxy_header;
using activemx::ProxyHeader;
using activemx::ProxyHeaderKind;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ProxyHeader whole = parse_proxy_header({data, size});
  const bool is_header =
      whole.kind == ProxyHeaderKind::local || whole.kind == ProxyHeaderKind::proxied;
  if (!is_header) return 0;
  if (whole.octets > size || whole.octets < 15) std::abort();
  for (const std::size_t cut : {std::size_t{1}, whole.octets / 2, whole.octets - 1}) {
    const std::vector<std::uint8_t> part(data, data + cut);
    if (parse_proxy_header(part).kind != ProxyHeaderKind::incomplete) std::abort();
  }
  const ProxyHeader alone = parse_proxy_header({data, whole.octets});
  if (alone.kind != whole.kind || alone.octets != whole.octets) std::abort();
  if (!(alone.source.address == whole.source.address)) std::abort();
  return 0;
}
