// Engine: events in, and the life of a connection. Operations: engine_operations.cpp.
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
constexpr std::size_t events_each = 3;   // a descriptor lists at the most: open, data or end, close
constexpr std::size_t input_spare = 16'384;  // kept for peer records and a last small read

std::uint64_t data_of(std::uint32_t slot, std::uint32_t generation) noexcept {
  return static_cast<std::uint64_t>(generation) << 32 | slot;
}

CloseReason reason_of_connect(int system_error) noexcept {
  if (system_error == ECONNREFUSED) return CloseReason::refused;
  return system_error == ETIMEDOUT ? CloseReason::timeout : CloseReason::unreachable;
}

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
  free_gone();
  deliver_pending();
  epoll_event ready[ready_max];
  const int count = ::epoll_wait(epoll_, ready, ready_max, 0);
  for (int at = 0; at < count && has_room(); ++at) handle(ready[at]);
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
  if ((event.events & EPOLLOUT) != 0) handle_writable(name.slot, connection);
  const bool is_broken = (event.events & (EPOLLERR | EPOLLHUP)) != 0;
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

void Engine::handle_connecting(std::uint32_t slot, Connection& connection) noexcept {
  int fault = 0;
  socklen_t length = sizeof fault;
  ::getsockopt(connection.fd, SOL_SOCKET, SO_ERROR, &fault, &length);
  if (fault != 0) {
    finish(slot, connection, reason_of_connect(fault));
    return;
  }
  connection.state = State::open;
  slab_.deadline(slot).store(0, std::memory_order_relaxed);
  tell(EventKind::connected, {slot, connection.generation}, 0, 0);
  if (connection.backlog.size() > 0) {
    handle_writable(slot, connection);
  } else {
    watch(slot, connection, connection.is_paused ? 0U : readable);
  }
}

void Engine::handle_readable(std::uint32_t slot, Connection& connection) noexcept {
  const std::size_t start = input_used_;
  const std::size_t room = std::min(read_octets_max, buffers_.input.size() - start);
  // A client's first event carries its peer record, which lies behind the octets.
  const bool is_first = connection.state == State::waiting;
  const std::size_t wanted = is_first ? room - std::min(room, sizeof(PeerRecord) + 128) : room;
  const ssize_t got = ::recv(connection.fd, buffers_.input.data() + start, wanted, MSG_DONTWAIT);
  if (got < 0) {
    if (errno != EAGAIN && errno != EINTR) finish(slot, connection, CloseReason::reset);
    return;
  }
  input_used_ += static_cast<std::size_t>(got);
  if (is_first) tell_open(slot, connection);
  if (got == 0) {
    handle_end(slot, connection);
  } else {
    tell(EventKind::data, {slot, connection.generation}, start, static_cast<std::size_t>(got));
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

void Engine::tell_open(std::uint32_t slot, Connection& connection) noexcept {
  connection.state = State::open;
  slab_.deadline(slot).store(0, std::memory_order_relaxed);
  const Client& client = connection.client;
  char address[address_text_max];
  char local_address[address_text_max];
  const std::size_t address_octets = write_address(client.peer.address, address);
  const std::size_t local_octets = write_address(client.local.address, local_address);
  const PeerRecord record{static_cast<double>(client.accepted_at_ms),
                          client.peer.port,
                          client.local.port,
                          client.verdict_class,
                          client.is_trusted,
                          client.is_early_talker,
                          static_cast<std::uint8_t>(address_octets),
                          static_cast<std::uint8_t>(local_octets)};
  input_used_ = (input_used_ + 7) & ~std::size_t{7};
  std::uint8_t* at = buffers_.input.data() + input_used_;
  std::memcpy(at, &record, sizeof record);
  std::memcpy(at + sizeof record, address, address_octets);
  std::memcpy(at + sizeof record + address_octets, local_address, local_octets);
  tell(EventKind::open, {slot, connection.generation}, input_used_, 0);
  input_used_ += sizeof record + address_octets + local_octets;
}

bool Engine::adopt(int fd, const Client& client, std::shared_ptr<ClientLedger> ledger) noexcept {
  const std::lock_guard lock(mutex_);
  if (!is_taking_) return false;
  const std::uint32_t slot = slab_.allocate();
  if (slot == Slab::none) return false;
  Connection& connection = slab_.at(slot);
  connection.fd = fd;
  connection.state = State::waiting;
  connection.is_client = true;
  connection.interest = EPOLLIN;
  connection.client = client;
  connection.ledger = std::move(ledger);
  const std::int64_t deadline =
      client_deadline_ms_ > 0 ? coarse_monotonic_ms() + client_deadline_ms_ : 0;
  slab_.deadline(slot).store(deadline, std::memory_order_release);
  clients_.fetch_add(1, std::memory_order_relaxed);
  connections_.fetch_add(1, std::memory_order_relaxed);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = data_of(slot, connection.generation);
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0) return true;
  clients_.fetch_sub(1, std::memory_order_relaxed);
  connections_.fetch_sub(1, std::memory_order_relaxed);
  slab_.deadline(slot).store(0, std::memory_order_relaxed);
  slab_.release(slot);
  return false;
}

SlotName Engine::connect(const Endpoint& to, std::int64_t timeout_ms) noexcept {
  SlotName name;
  {
    const std::lock_guard lock(mutex_);
    if (is_shut_) return name;
    name.slot = slab_.allocate();
  }
  if (name.slot == Slab::none) return name;
  Connection& connection = slab_.at(name.slot);
  name.generation = connection.generation;
  connections_.fetch_add(1, std::memory_order_relaxed);
  connection.state = State::connecting;
  sockaddr_storage address;
  const socklen_t length = fill_sockaddr(to, address);
  connection.fd =
      ::socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  const int on = 1;
  epoll_event event{};
  event.events = connection.interest = EPOLLOUT;
  event.data.u64 = data_of(name.slot, name.generation);
  const bool is_begun =
      connection.fd >= 0 &&
      ::setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
      (::connect(connection.fd, reinterpret_cast<sockaddr*>(&address), length) == 0 ||
       errno == EINPROGRESS) &&
      ::epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event) == 0;
  if (!is_begun) {
    finish(name.slot, connection, reason_of_connect(errno));
    return name;
  }
  slab_.deadline(name.slot).store(coarse_monotonic_ms() + timeout_ms, std::memory_order_relaxed);
  return name;
}

Connection* Engine::find(SlotName name) noexcept {
  if (name.slot >= slab_.used()) return nullptr;
  Connection& connection = slab_.at(name.slot);
  return connection.generation == name.generation ? &connection : nullptr;
}

// The descriptor is closed here and now; the slot lives until its close event has been handled.
void Engine::finish(std::uint32_t slot, Connection& connection, CloseReason reason) noexcept {
  const bool was_told = connection.state != State::waiting;
  if (connection.fd >= 0) ::close(connection.fd);
  connection.fd = -1;
  const bool is_ours = connection.state == State::flushing || connection.state == State::lingering;
  if (!is_ours) connection.reason = reason;  // else it stands since the close
  connection.state = State::gone;
  connection.backlog.clear();
  slab_.deadline(slot).store(0, std::memory_order_relaxed);
  give_place_back(connection);
  connections_.fetch_sub(1, std::memory_order_relaxed);
  if (was_told) {
    pending_.push_back({EventKind::close, {slot, connection.generation}});
  } else {
    gone_.push_back(slot);
  }
}

void Engine::finish_with_reset(std::uint32_t slot, Connection& connection,
                               CloseReason reason) noexcept {
  const linger at_once{1, 0};
  ::setsockopt(connection.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  finish(slot, connection, reason);
}

void Engine::give_place_back(Connection& connection) noexcept {
  if (!connection.is_client) return;
  connection.is_client = false;
  clients_.fetch_sub(1, std::memory_order_relaxed);
  if (connection.ledger == nullptr) return;
  connection.ledger->release(connection.client.peer.address, connection.client.is_counted);
  connection.ledger.reset();
}

void Engine::free_gone() noexcept {
  if (gone_.empty()) return;
  const std::lock_guard lock(mutex_);
  for (const std::uint32_t slot : gone_) {
    buffers_.backlogs[slot] = 0;
    slab_.release(slot);
  }
  gone_.clear();
}

void Engine::watch(std::uint32_t slot, Connection& connection, std::uint32_t interest) noexcept {
  if (connection.interest == interest) return;
  epoll_event event{};
  event.events = interest;
  event.data.u64 = data_of(slot, connection.generation);
  if (::epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd, &event) == 0) {
    connection.interest = interest;
  } else {
    finish(slot, connection, CloseReason::reset);
  }
}

void Engine::shut() noexcept {
  const std::lock_guard lock(mutex_);
  if (is_shut_) return;
  is_shut_ = true;
  is_taking_ = false;
  for (std::uint32_t slot = 0, used = slab_.used(); slot < used; ++slot) {
    Connection& connection = slab_.at(slot);
    if (connection.fd >= 0) ::close(connection.fd);
    connection.fd = -1;
    connection.state = State::gone;
    give_place_back(connection);
  }
  // A gate may hold the engine longer than its worker lives: nothing of it stays open.
  ::close(timer_);
  ::close(epoll_);
}

}  // namespace activemx
