// Gate: what stands before every connection, on a thread of its own.
//
//   accept ─▶ PROXY header ─▶ trusted? ─▶ blacklist ─▶ limits ─▶ delay ─▶ greeting ─▶ engine
//              (balancers)                   │            │            │
//                                            └── refuse, tarpit, reset, drop; 421; early talker
//
// A refusal never leaves this thread: reply, one read (so that an early talker gets the text and
// not a reset), close, an entry in the ring. JavaScript may be blocked meanwhile.
//
// Ownership: the gate owns its listeners and the guests it holds; a client handed over belongs to
// the engine, and its place in the ledger comes back through ClientLedger. Threads: the public
// methods are the main thread's; everything private runs on the gate's thread, but for orders_ and
// listeners_, which mutex_ guards.
#pragma once

#include <sys/epoll.h>
#include <sys/socket.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

#include "core/shared_table.hpp"
#include "engine/engine.hpp"
#include "gate/counters.hpp"
#include "gate/flood_filter.hpp"
#include "gate/guests.hpp"
#include "gate/ledger.hpp"
#include "gate/policy.hpp"
#include "gate/refusal_ring.hpp"

namespace activemx {

// All from src/base/limits.ts.
struct GateLimits {
  int listen_backlog_max = 0;
  std::size_t refusals_max = 0;
  std::size_t addresses_max = 0;
  std::int64_t proxy_header_wait_ms = 0;
  std::int64_t tarpit_octet_ms = 0;
  int descriptors_kept = 0;
};

class Gate {
 public:
  // Null: `system_error` says why.
  static std::unique_ptr<Gate> create(const GateLimits& limits, int& system_error);
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  // 0 or errno; `bound_port` is the port taken.
  [[nodiscard]] int listen(const Endpoint& at, std::uint16_t& bound_port);
  // From the first policy on clients are accepted.
  void configure(std::shared_ptr<const Policy> policy);
  void add_worker(std::uint32_t token);
  void remove_worker(std::uint32_t token);
  std::size_t take_refusals(std::span<RefusalEntry> taken) { return refusals_.take(taken); }
  [[nodiscard]] CounterValues counters() const;
  void drain();
  // Ends the thread and closes what the gate holds. May be called twice.
  void close();

 private:
  struct Worker {
    std::uint32_t token;
    std::shared_ptr<Engine> engine;
  };
  // What the main thread has ordered; published as a whole.
  struct Orders {
    std::shared_ptr<const Policy> policy;
    std::vector<Worker> workers;
    bool is_draining = false;
  };
  struct Listener {
    int fd = -1;
    Endpoint at;
  };

  static constexpr std::int64_t revision_ms = 1000;  // of the flood filter

  Gate(const GateLimits& limits, int descriptors_max, int epoll, int wake, int spare);

  // Main thread.
  void publish(const Orders& orders);
  void start_accepting(std::size_t listener) const;

  // Gate thread: turns.
  void run();
  void follow_orders();
  [[nodiscard]] int time_to_next() const;
  void accept_all(const Listener& listener);
  void accept_without_descriptor(const Listener& listener);
  void handle_guest(std::uint32_t index, std::uint32_t events);
  void expire_guests();
  void revise_filter();
  void attach_filter(const Listener& listener) const;

  // Gate thread: the way of one connection. `fd` is closed, held or handed over by each of them.
  void begin(int fd, const Listener& listener, const Endpoint& peer);
  void read_header(int fd, Client client, std::uint32_t guest, bool has_ended);
  void judge(int fd, Client& client);
  void apply(int fd, const Client& client, const ClassRule& rule);
  void start_tarpit(int fd, const Client& client, const ClassRule& rule);
  void continue_tarpit(std::uint32_t index);
  void await_greeting(int fd, Client& client);
  void hear_early(std::uint32_t index);
  void pass(int fd, const Client& client);
  [[nodiscard]] bool hand_over(int fd, const Client& client);
  [[nodiscard]] Engine* least_busy(std::uint32_t sessions_max) const;
  void greet(int fd, Client& client);
  // The guest's index; none: closed, no room.
  std::uint32_t hold(int fd, Wait wait, const Client& client);
  // The guest leaves; its descriptor is the caller's again.
  Guest release_guest(std::uint32_t index);

  // Gate thread: ends.
  void overload(int fd, const Client& client);
  void refuse_stopping(int fd, const Client& client);
  void refuse_early(int fd, const Client& client);
  void refuse(int fd, const Client& client, const ReplyTemplate& reply, RefusalCause cause,
              RefusalAction action, std::uint32_t early_octets = 0);
  void end(int fd, const Client& client);
  void end_with_reset(int fd, const Client& client);
  RefusalId record(const Client& client, RefusalCause cause, RefusalAction action,
                   std::uint32_t early_octets = 0);

  // For how many clients it stands.
  [[nodiscard]] std::uint32_t note_dropped(const Client& client);
  [[nodiscard]] bool is_dropped(const IpAddress& address);

  const GateLimits limits_;
  const int descriptors_max_;  // clients get those below
  const int epoll_;
  const int wake_;
  int spare_;  // given up for a moment when descriptors run out; -1 = somebody else has it

  mutable std::mutex mutex_;
  std::shared_ptr<const Orders> orders_;
  std::vector<Listener> listeners_;
  std::atomic<std::uint32_t> orders_version_{0};
  std::atomic<bool> is_closing_{false};
  std::thread thread_;

  RefusalRing refusals_;
  std::shared_ptr<Ledger> ledger_;
  GateCounters counters_;

  // The gate thread's own.
  std::shared_ptr<const Orders> current_;
  std::uint32_t current_version_ = 0;
  TableReader blacklist_;
  TableReader trusted_;
  TableReader balancers_;
  Guests guests_;
  FloodFilter filter_;
  std::int64_t now_ms_ = 0;   // monotonic, of this turn
  std::int64_t wall_ms_ = 0;  // of this turn
  std::int64_t next_revision_ms_ = 0;
  std::uint32_t refusal_count_ = 0;
};

}  // namespace activemx
