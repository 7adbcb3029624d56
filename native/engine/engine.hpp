// Engine: the sockets of one worker thread, watched by one epoll set.
//
// A turn: `collect` reads what is there into the input arena and lists events; JavaScript answers
// with operations; `execute` carries them out. Offsets into the arena are valid until the next
// collect.
//
// Ownership: shared by the worker's environment, the registry and the gates. Threads: everything
// but `adopt`, `is_taking` and `clients` belongs to the worker. `adopt` (a gate's thread) and
// `shut` exclude each other by the mutex, so that no descriptor is put into an engine whose worker
// is gone.
#pragma once

#include <sys/epoll.h>
#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "engine/client.hpp"
#include "engine/connection.hpp"

namespace activemx {

// All from src/base/limits.ts.
struct EngineLimits {
  std::uint32_t backlog_low_octets = 0;
  std::uint32_t backlog_high_octets = 0;
  std::uint32_t backlog_octets_max = 0;
  std::int64_t linger_ms = 0;
  std::int64_t done_linger_ms = 0;
  std::int64_t close_flush_ms = 0;
};

// Memory shared with JavaScript; it outlives every call but `shut` and `adopt`, which do not touch
// it.
struct EngineBuffers {
  std::span<std::uint8_t> input;
  std::span<std::uint8_t> output;
  std::span<std::int32_t> events;      // event_stride each
  std::span<std::int32_t> operations;  // operation_stride each
  std::span<std::int32_t> backlogs;    // by slot: queued, not yet taken by the socket
};

// The words of an event: kind, slot, generation, first, second. As src/io/native-engine.ts.
inline constexpr std::size_t event_stride = 5;
enum class EventKind : std::int32_t { open, data, connected, drain, end, deadline, close, passed };

// The words of an operation: kind, slot, generation, first, second.
inline constexpr std::size_t operation_stride = 5;
enum class OperationKind : std::int32_t {
  send_output,    // first: offset, second: octets
  forward_input,  // first: offset, second: octets
  pause,
  resume,
  deadline,  // first: milliseconds, 0 = none
  await_drain,
  close,  // first: 1 = nothing more is expected of the peer
  reset,
};

// How an open event describes the client, in the input arena at its first word.
struct PeerRecord {
  double waited_ms;  // since it was accepted
  std::uint16_t port;
  std::uint16_t local_port;
  std::uint16_t verdict_class;
  std::uint8_t is_trusted;
  std::uint8_t is_early_talker;
  std::uint8_t address_octets;  // the texts follow the record
  std::uint8_t local_address_octets;
};

// How a passed event tells what has passed, in the input arena at its first word.
struct PassRecord {
  double octets;
  std::uint32_t scan_state;
  std::uint32_t silent_ms;  // since the last of them came
};

class Engine {
 public:
  // Null: `system_error` says why.
  static std::shared_ptr<Engine> create(const EngineLimits& limits, const EngineBuffers& buffers,
                                        int& system_error) noexcept;
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Readable when there is something to collect.
  [[nodiscard]] int descriptor() const noexcept { return epoll_; }

  // Lists events; answers how many. Never blocks.
  [[nodiscard]] std::size_t collect() noexcept;
  // Carries out the first operations of the buffer; answers how many events came of it and wait.
  std::size_t execute(std::size_t operations) noexcept;

  // Events that wait for the next collect, whatever the descriptor says.
  [[nodiscard]] std::size_t pending() const noexcept { return pending_.size(); }

  // Always names a slot, unless there is none left; a connect that fails ends in a close event.
  [[nodiscard]] SlotName connect(const Endpoint& to, std::int64_t timeout_ms) noexcept;
  // Sends from the caller's memory, behind what was carried out before; what the socket does not
  // take is copied. Counted in `backlogs` by the caller. Nothing for a dead name.
  void send(SlotName name, std::span<const std::uint8_t> octets) noexcept;
  // From the source's next octets on, those of a message pass to the target without JavaScript, as
  // long as they are clean, not the end of the message and not more than `octets_max`, and the
  // target takes them. A passed event tells of them before any other event of the source.
  // `scan_state` as scan_body has left it. Only while the source's data are being handled: what is
  // listed already would be passed by. Nothing for a dead name.
  void pass(SlotName source, SlotName target, std::uint32_t scan_state,
            std::uint64_t octets_max) noexcept;
  // Octets that the kernel has of us and the peer has not taken; 0 for a dead name.
  [[nodiscard]] std::size_t octets_in_kernel(SlotName name) noexcept;
  // Takes the descriptor out; -1 for a dead name. What the socket did not take is moved into
  // `output` and counted in `rest`. The client's place is held until `release_detached`.
  [[nodiscard]] int detach(SlotName name, std::size_t& rest) noexcept;
  void release_detached(SlotName name) noexcept;
  // How long a silent client may wait for its first event; 0 = for ever.
  void set_client_deadline(std::int64_t after_ms) noexcept;
  // No more clients; those that were silent so far get their deadline.
  void stop() noexcept;
  [[nodiscard]] std::uint32_t connections() const noexcept {
    return connections_.load(std::memory_order_relaxed);
  }

  // Closes everything, the descriptor too; the worker ends. No buffer is touched from now on, and
  // the worker calls nothing but this, once more, on destruction.
  void shut() noexcept;

  // From a gate: takes `fd` over. False: stopped, shut or full; the descriptor stays the caller's.
  [[nodiscard]] bool adopt(int fd, const Client& client,
                           std::shared_ptr<ClientLedger> ledger) noexcept;
  // False: stopped or its worker is gone. Any thread.
  [[nodiscard]] bool is_taking() const noexcept {
    return is_taking_.load(std::memory_order_relaxed);
  }
  // Clients carried now, detached ones included. Any thread.
  [[nodiscard]] std::uint32_t clients() const noexcept {
    return clients_.load(std::memory_order_relaxed);
  }

 private:
  struct Pending {
    EventKind kind;
    SlotName name;
  };
  // Sends to one connection that stand side by side go out in one system call.
  struct Gather {
    static constexpr std::size_t parts_max = 16;
    SlotName name;
    Connection* connection = nullptr;
    std::array<iovec, parts_max> parts;
    std::size_t count = 0;
    std::size_t octets = 0;

    [[nodiscard]] bool is_for(SlotName other) const noexcept {
      return connection != nullptr && name.slot == other.slot &&
             name.generation == other.generation;
    }
  };

  Engine(const EngineLimits& limits, const EngineBuffers& buffers, int epoll, int timer) noexcept;

  // Turn: events.
  void deliver_pending() noexcept;
  void handle(const epoll_event& event) noexcept;
  void handle_connecting(std::uint32_t slot, Connection& connection) noexcept;
  void handle_readable(std::uint32_t slot, Connection& connection) noexcept;
  void handle_writable(std::uint32_t slot, Connection& connection) noexcept;
  void discard_input(std::uint32_t slot, Connection& connection) noexcept;
  void handle_end(std::uint32_t slot, Connection& connection) noexcept;
  void sweep() noexcept;
  void expire(std::uint32_t slot, Connection& connection) noexcept;
  void tell(EventKind kind, SlotName name, std::size_t first, std::size_t second) noexcept;
  void tell_open(std::uint32_t slot, Connection& connection) noexcept;
  void align_input() noexcept;
  [[nodiscard]] bool has_room() const noexcept;

  // Turn: octets that pass.
  [[nodiscard]] bool pass_on(Pass& pass, std::span<const std::uint8_t> octets) noexcept;
  void send_settled(const Pass& pass, std::span<const std::uint8_t> octets,
                    std::uint32_t next_state) noexcept;
  void end_pass(std::uint32_t slot, Connection& connection) noexcept;

  // Turn: operations.
  void execute_one(const std::int32_t* words, Gather& gather) noexcept;
  void execute_send(SlotName name, std::span<const std::uint8_t> octets, Gather& gather) noexcept;
  void flush(Gather& gather, int more = 0) noexcept;
  void close_politely(std::uint32_t slot, Connection& connection) noexcept;
  void after_flush(std::uint32_t slot, Connection& connection) noexcept;
  [[nodiscard]] static bool has_unread(const Connection& connection) noexcept;
  void check_drain(std::uint32_t slot, Connection& connection) noexcept;

  // Life of a connection.
  [[nodiscard]] Connection* find(SlotName name) noexcept;
  void finish(std::uint32_t slot, Connection& connection, CloseReason reason) noexcept;
  void finish_with_reset(std::uint32_t slot, Connection& connection, CloseReason reason) noexcept;
  void free_gone() noexcept;
  void give_place_back(Connection& connection) noexcept;
  void watch(std::uint32_t slot, Connection& connection, std::uint32_t interest) noexcept;
  void subtract_backlog(std::uint32_t slot, std::size_t octets) noexcept;

  const EngineLimits limits_;
  const EngineBuffers buffers_;
  const int epoll_;
  const int timer_;

  std::mutex mutex_;  // slab's free list, client_deadline_ms_; is_taking_ changes under it
  Slab slab_;
  std::atomic<bool> is_taking_{true};
  bool is_shut_ = false;
  std::int64_t client_deadline_ms_ = 0;

  std::atomic<std::uint32_t> clients_{0};
  std::atomic<std::uint32_t> connections_{0};

  std::size_t events_ = 0;      // listed in this turn
  std::size_t input_used_ = 0;  // octets of the input arena
  std::size_t passed_ = 0;      // octets that passed in this turn
  int first_ = 0;               // of those ready, with whom the next turn begins
  std::vector<Pending> pending_;
  std::vector<std::uint32_t> gone_;  // freed once their close event has been handled
};

}  // namespace activemx
