// Connection: one slot of an engine; Slab: all its slots, in blocks that never move.
//
// A slot is named by its index and a generation, which grows whenever it is freed: an event or an
// operation that names an older generation finds nothing. Threads: a slot belongs to the worker
// from the moment it is in the epoll set; the gate fills it before, under the engine's mutex.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/backlog.hpp"
#include "engine/client.hpp"

namespace activemx {

// A connection as events and operations name it.
struct SlotName {
  std::uint32_t slot = UINT32_MAX;
  std::uint32_t generation = 0;
};

enum class State : std::uint8_t {
  free,
  waiting,     // a client that JavaScript has not been told of
  connecting,  // non-blocking connect under way
  open,
  flushing,   // close was asked for, the backlog is not sent yet
  lingering,  // our end is shut; what the peer sends is dropped
  gone,       // the descriptor is closed; waits until its close event has been delivered
  detached,   // somebody else carries the descriptor; holds the client's place only
};

// As src/io/native-engine.ts numbers them.
enum class CloseReason : std::uint8_t { closed, ended, reset, timeout, refused, unreachable };

// Octets of a message on their way past JavaScript: engine_pass.cpp.
struct Pass {
  SlotName target;
  std::uint32_t scan_state = 0;
  std::uint64_t octets = 0;       // passed so far
  std::uint64_t octets_max = 0;
  std::int64_t last_ms = 0;       // when the last ones came, monotonic
};

struct Connection {
  int fd = -1;
  std::uint32_t generation = 0;
  std::uint32_t interest = 0;  // what epoll watches now
  State state = State::free;
  CloseReason reason = CloseReason::closed;
  bool is_client = false;
  bool is_paused = false;
  bool has_peer_ended = false;
  bool wants_drain = false;
  bool is_done = false;  // the peer has nothing more to say: its end is not awaited
  Backlog backlog;
  std::unique_ptr<Pass> pass;
  Client client;
  std::shared_ptr<ClientLedger> ledger;
};

// Deadlines lie apart, densely, because the sweep reads all of them.
class Slab {
 public:
  static constexpr std::uint32_t block_slots = 1024;
  static constexpr std::uint32_t blocks_max = 128;
  static constexpr std::uint32_t slots_max = block_slots * blocks_max;
  static constexpr std::uint32_t none = UINT32_MAX;

  // A free slot, or none. Under the engine's mutex.
  [[nodiscard]] std::uint32_t allocate() noexcept;
  // Under the engine's mutex. The slot's next generation begins.
  void release(std::uint32_t slot) noexcept;

  [[nodiscard]] Connection& at(std::uint32_t slot) noexcept {
    return blocks_[slot / block_slots]->connections[slot % block_slots];
  }
  // Monotonic milliseconds; 0 = none. Stored last by whoever fills a slot.
  [[nodiscard]] std::atomic<std::int64_t>& deadline(std::uint32_t slot) noexcept {
    return blocks_[slot / block_slots]->deadlines[slot % block_slots];
  }
  // Slots ever used: all others are free.
  [[nodiscard]] std::uint32_t used() const noexcept {
    return used_.load(std::memory_order_acquire);
  }

 private:
  struct Block {
    std::array<Connection, block_slots> connections;
    std::array<std::atomic<std::int64_t>, block_slots> deadlines{};
  };
  std::array<std::unique_ptr<Block>, blocks_max> blocks_;
  std::vector<std::uint32_t> free_;  // last in, first out: warm slots first
  std::atomic<std::uint32_t> used_{0};
};

}  // namespace activemx
