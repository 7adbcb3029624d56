// Client: a greeted connection that a gate hands to an engine; ClientLedger: where its place is
// given back.
#pragma once

#include <cstdint>
#include <memory>

#include "core/ip_address.hpp"

namespace activemx {

// Counts the connections of each address. Any thread may call it.
class ClientLedger {
 public:
  virtual ~ClientLedger() = default;
  // A connection that was handed to an engine is gone. Called exactly once for each.
  virtual void release(const IpAddress& address, bool is_counted) noexcept = 0;
};

// What the gate knows of a client.
struct Client {
  Endpoint peer;
  Endpoint local;
  std::int64_t accepted_at_ms = 0;  // coarse_monotonic_ms()
  std::uint16_t verdict_class = 0;
  bool is_trusted = false;
  bool is_early_talker = false;
  bool is_behind_balancer = false;  // its address is that of a PROXY header, if it has one
  bool is_counted = false;  // holds a place of its address in the ledger
};

}  // namespace activemx
