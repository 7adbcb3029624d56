// Engine: octets of a message that pass from the client to the mailhost without JavaScript. See
// engine.hpp.
//
// Only what needs no judgement passes: whole reads in which the scanner finds neither an end of
// data nor a stray octet. All else ends the pass and is told as ever, behind the count of what has
// passed. Octets whose meaning the next one decides are kept back, as src/journey/message-flow.ts
// does it; the scanner's state says which.
#include <cstring>
#include <new>
#include <string_view>

#include "core/body_scanner.hpp"
#include "core/clock.hpp"
#include "engine/engine.hpp"

namespace activemx {
namespace {

constexpr std::uint32_t stray_flags = bare_cr_flag | bare_lf_flag | nul_flag;

// A CR, or what may be the final dot: it has come and must not travel on yet.
std::string_view undecided(std::uint32_t scan_state) noexcept {
  switch (scan_position(scan_state)) {
    case ScanPosition::after_cr:
      return "\r";
    case ScanPosition::after_dot:
      return ".";
    case ScanPosition::after_dot_cr:
      return ".\r";
    case ScanPosition::line_start:
    case ScanPosition::in_line:
    case ScanPosition::ended:
      break;
  }
  return {};
}

std::span<const std::uint8_t> octets_of(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

void Engine::pass(SlotName source, SlotName target, std::uint32_t scan_state,
                  std::uint64_t octets_max) noexcept {
  Connection* connection = find(source);
  if (connection == nullptr || connection->state != State::open) return;
  connection->pass.reset(new (std::nothrow)
                             Pass{target, scan_state, 0, octets_max, coarse_monotonic_ms()});
}

// False: these octets are to be told of. The target has not got them then.
bool Engine::pass_on(Pass& pass, std::span<const std::uint8_t> octets) noexcept {
  static const SimdLevel level = best_simd();
  const Connection* target = find(pass.target);
  const bool is_taking = target != nullptr && target->state == State::open &&
                         target->backlog.size() <= limits_.backlog_high_octets;
  if (!is_taking || octets.size() > pass.octets_max - pass.octets) return false;
  const BodyScan scan = scan_body(octets, pass.scan_state, level);
  const bool is_plain = (scan.state & stray_flags) == 0 &&
                        scan_position(scan.state) != ScanPosition::ended;
  if (!is_plain) return false;
  send_settled(pass, octets, scan.state);
  pass.scan_state = scan.state;
  pass.octets += octets.size();
  pass.last_ms = coarse_monotonic_ms();
  return true;
}

void Engine::send_settled(const Pass& pass, std::span<const std::uint8_t> octets,
                          std::uint32_t next_state) noexcept {
  const auto kept = octets_of(undecided(pass.scan_state));
  const std::size_t left = undecided(next_state).size();
  if (left > octets.size()) return;  // what was kept back before is undecided still
  const auto settled = octets.first(octets.size() - left);
  buffers_.backlogs[pass.target.slot] += static_cast<std::int32_t>(kept.size() + settled.size());
  Gather gather;
  if (!kept.empty()) execute_send(pass.target, kept, gather);
  if (!settled.empty()) execute_send(pass.target, settled, gather);
  flush(gather);
}

void Engine::end_pass(std::uint32_t slot, Connection& connection) noexcept {
  if (connection.pass == nullptr) return;
  const Pass& pass = *connection.pass;
  const PassRecord record{static_cast<double>(pass.octets), pass.scan_state,
                          static_cast<std::uint32_t>(coarse_monotonic_ms() - pass.last_ms)};
  align_input();
  std::memcpy(buffers_.input.data() + input_used_, &record, sizeof record);
  tell(EventKind::passed, {slot, connection.generation}, input_used_, 0);
  input_used_ += sizeof record;
  connection.pass.reset();
}

}  // namespace activemx
