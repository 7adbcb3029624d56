// Engine: events in. Operations: engine_operations.cpp; octets that pass: engine_pass.cpp; the life
// of a connection: engine_connections.cpp.
#include "engine/engine.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "core/clock.hpp"

namespace activemx {
namespace {

constexpr std::uint32_t readable = EPOLLIN;
constexpr std::uint64_t timer_data = UINT64_MAX;
constexpr std::int64_t sweep_ms = 500;
constexpr int ready_max = 256;           // descriptors a turn
constexpr std::size_t read_octets_max = 65'536;
constexpr std::size_t passed_octets_max = 4'194'304;  // a turn, so that all others get theirs
// A descriptor lists at the most: open or passed, data or end, close.
constexpr std::size_t events_each = 3;
constexpr std::size_t input_spare = 16'384;  // kept for records and a last small read
// What an event may have to tell beside the octets, and lies behind them.
constexpr std::size_t record_octets_max = sizeof(PeerRecord) + 128;
static_assert(sizeof(PassRecord) + 8 <= record_octets_max);

}  // namespace

std::shared_ptr<Engine> Engine::create(const EngineLimits& limits, const EngineBuffers& buffers,
                                       int& system_error) noexcept {
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  const int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = timer_data;
  itimerspec every{};
  every.it_interval.tv_nsec = every.it_value.tv_nsec = sweep_ms * 1'000'000;
  const bool stands = epoll >= 0 && timer >= 0 &&
                      ::timerfd_settime(timer, 0, &every, nullptr) == 0 &&
                      ::epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event) == 0;
  if (!stands) {
    system_error = errno;
    if (epoll >= 0) ::close(epoll);
    if (timer >= 0) ::close(timer);
    return nullptr;
  }
  return std::shared_ptr<Engine>(new Engine(limits, buffers, epoll, timer));
}

Engine::Engine(const EngineLimits& limits, const EngineBuffers& buffers, int epoll,
               int timer) noexcept
    : limits_(limits), buffers_(buffers), epoll_(epoll), timer_(timer) {}

Engine::~Engine() { shut(); }

std::size_t Engine::collect() noexcept {
  events_ = 0;
  input_used_ = 0;
  passed_ = 0;
  free_gone();
  deliver_pending();
  epoll_event ready[ready_max];
  const int count = ::epoll_wait(epoll_, ready, ready_max, 0);
  // epoll keeps its order: who found no room in the last turn comes first in this one.
  int handled = 0;
  for (; handled < count && has_room() && passed_ < passed_octets_max; ++handled) {
    handle(ready[(first_ + handled) % count]);
  }
  first_ = handled < count ? (first_ + handled) % count : 0;
  if (events_ == 0) deliver_pending();  // what a sweep has brought
  return events_;
}

// Level-triggered: a descriptor that finds no room now is reported again in the next turn.
bool Engine::has_room() const noexcept {
  return (events_ + events_each) * event_stride <= buffers_.events.size() &&
         input_used_ + input_spare <= buffers_.input.size();
}

void Engine::deliver_pending() noexcept {
  std::size_t delivered = 0;
  for (; delivered < pending_.size() && has_room(); ++delivered) {
    const Pending& one = pending_[delivered];
    Connection& connection = slab_.at(one.name.slot);
    if (connection.generation != one.name.generation) continue;
    end_pass(one.name.slot, connection);
    if (one.kind == EventKind::open) {
      if (connection.state != State::waiting) continue;  // it has spoken in the meantime
      tell_open(one.name.slot, connection);
      tell(EventKind::deadline, one.name, 0, 0);
    } else if (one.kind == EventKind::close) {
      tell(one.kind, one.name, static_cast<std::size_t>(connection.reason), 0);
      gone_.push_back(one.name.slot);
    } else if (connection.state == State::open) {
      tell(one.kind, one.name, 0, 0);
    }
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(delivered));
}

void Engine::handle(const epoll_event& event) noexcept {
  if (event.data.u64 == timer_data) {
    std::uint64_t expirations = 0;
    if (::read(timer_, &expirations, sizeof expirations) > 0) sweep();
    return;
  }
  const SlotName name{static_cast<std::uint32_t>(event.data.u64),
                      static_cast<std::uint32_t>(event.data.u64 >> 32)};
  Connection& connection = slab_.at(name.slot);
  if (connection.generation != name.generation || connection.fd < 0) return;
  if (connection.state == State::connecting) {
    handle_connecting(name.slot, connection);
    return;
  }
  const bool is_broken = (event.events & (EPOLLERR | EPOLLHUP)) != 0;
  // What was said before a reset is read before a send fails by it: it may be the final reply.
  const bool is_read_first = is_broken && connection.state == State::open;
  if ((event.events & EPOLLOUT) != 0 && !is_read_first) handle_writable(name.slot, connection);
  if (connection.fd < 0 || ((event.events & EPOLLIN) == 0 && !is_broken)) return;
  if (connection.state == State::flushing || connection.state == State::lingering) {
    discard_input(name.slot, connection);
  } else if (connection.is_paused && !is_broken) {
    watch(name.slot, connection, connection.interest & ~readable);
  } else if (connection.is_paused || connection.has_peer_ended) {
    finish(name.slot, connection, CloseReason::reset);
  } else {
    handle_readable(name.slot, connection);
  }
}

void Engine::handle_readable(std::uint32_t slot, Connection& connection) noexcept {
  const std::size_t start = input_used_;
  const std::size_t room = buffers_.input.size() - start - record_octets_max;
  const std::size_t wanted = std::min(read_octets_max, room);
  const bool is_first = connection.state == State::waiting;
  const ssize_t got = ::recv(connection.fd, buffers_.input.data() + start, wanted, MSG_DONTWAIT);
  if (got < 0) {
    if (errno != EAGAIN && errno != EINTR) finish(slot, connection, CloseReason::reset);
    return;
  }
  const auto octets = static_cast<std::size_t>(got);
  if (connection.pass != nullptr && got > 0 &&
      pass_on(*connection.pass, buffers_.input.subspan(start, octets))) {
    passed_ += octets;
    return;
  }
  input_used_ += octets;
  end_pass(slot, connection);
  if (is_first) tell_open(slot, connection);
  if (got == 0) {
    handle_end(slot, connection);
  } else {
    tell(EventKind::data, {slot, connection.generation}, start, octets);
  }
}

void Engine::handle_end(std::uint32_t slot, Connection& connection) noexcept {
  connection.has_peer_ended = true;
  watch(slot, connection, connection.interest & ~readable);
  tell(EventKind::end, {slot, connection.generation}, 0, 0);
}

// Nobody wants these octets any more: MSG_TRUNC drops them in the kernel.
void Engine::discard_input(std::uint32_t slot, Connection& connection) noexcept {
  const ssize_t got = ::recv(connection.fd, nullptr, read_octets_max, MSG_DONTWAIT | MSG_TRUNC);
  if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR))) return;
  if (got < 0 || connection.state == State::lingering) {
    finish(slot, connection, connection.reason);
    return;
  }
  connection.has_peer_ended = true;
  watch(slot, connection, connection.interest & ~readable);
}

void Engine::handle_writable(std::uint32_t slot, Connection& connection) noexcept {
  const auto octets = connection.backlog.view();
  const ssize_t sent =
      ::send(connection.fd, octets.data(), octets.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno != EAGAIN && errno != EINTR) finish(slot, connection, CloseReason::reset);
    return;
  }
  connection.backlog.consume(static_cast<std::size_t>(sent));
  subtract_backlog(slot, static_cast<std::size_t>(sent));
  std::uint32_t interest = connection.has_peer_ended || connection.is_paused ? 0U : readable;
  if (connection.backlog.size() > 0) interest |= EPOLLOUT;
  watch(slot, connection, interest);
  if (connection.fd < 0) return;
  if (connection.backlog.size() == 0 && connection.state == State::flushing) {
    after_flush(slot, connection);
  } else {
    check_drain(slot, connection);
  }
}

void Engine::check_drain(std::uint32_t slot, Connection& connection) noexcept {
  if (!connection.wants_drain || connection.backlog.size() > limits_.backlog_low_octets) return;
  connection.wants_drain = false;
  pending_.push_back({EventKind::drain, {slot, connection.generation}});
}

void Engine::sweep() noexcept {
  const std::int64_t now = coarse_monotonic_ms();
  for (std::uint32_t slot = 0, used = slab_.used(); slot < used; ++slot) {
    auto& deadline = slab_.deadline(slot);
    const std::int64_t at = deadline.load(std::memory_order_acquire);
    if (at == 0 || at > now) continue;
    deadline.store(0, std::memory_order_relaxed);
    expire(slot, slab_.at(slot));
  }
}

void Engine::expire(std::uint32_t slot, Connection& connection) noexcept {
  const SlotName name{slot, connection.generation};
  switch (connection.state) {
    case State::waiting:
      pending_.push_back({EventKind::open, name});
      break;
    case State::open:
      pending_.push_back({EventKind::deadline, name});
      break;
    case State::connecting:
      finish(slot, connection, CloseReason::timeout);
      break;
    case State::flushing:
      finish_with_reset(slot, connection, connection.reason);
      break;
    case State::lingering:
      finish(slot, connection, connection.reason);
      break;
    case State::free:
    case State::gone:
    case State::detached:
      break;
  }
}

void Engine::tell(EventKind kind, SlotName name, std::size_t first, std::size_t second) noexcept {
  std::int32_t* words = buffers_.events.data() + events_ * event_stride;
  words[0] = static_cast<std::int32_t>(kind);
  words[1] = static_cast<std::int32_t>(name.slot);
  words[2] = static_cast<std::int32_t>(name.generation);
  words[3] = static_cast<std::int32_t>(first);
  words[4] = static_cast<std::int32_t>(second);
  ++events_;
}

// Where JavaScript can read a double.
void Engine::align_input() noexcept { input_used_ = (input_used_ + 7) & ~std::size_t{7}; }

void Engine::tell_open(std::uint32_t slot, Connection& connection) noexcept {
  connection.state = State::open;
  slab_.deadline(slot).store(0, std::memory_order_relaxed);
  const Client& client = connection.client;
  char address[address_text_max];
  char local_address[address_text_max];
  const std::size_t address_octets = write_address(client.peer.address, address);
  const std::size_t local_octets = write_address(client.local.address, local_address);
  const PeerRecord record{static_cast<double>(coarse_monotonic_ms() - client.accepted_at_ms),
                          client.peer.port,
                          client.local.port,
                          client.verdict_class,
                          client.is_trusted,
                          client.is_early_talker,
                          static_cast<std::uint8_t>(address_octets),
                          static_cast<std::uint8_t>(local_octets)};
  align_input();
  std::uint8_t* at = buffers_.input.data() + input_used_;
  std::memcpy(at, &record, sizeof record);
  std::memcpy(at + sizeof record, address, address_octets);
  std::memcpy(at + sizeof record + address_octets, local_address, local_octets);
  tell(EventKind::open, {slot, connection.generation}, input_used_, 0);
  input_used_ += sizeof record + address_octets + local_octets;
}

}  // namespace activemx
