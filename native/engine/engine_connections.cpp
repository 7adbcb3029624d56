// Engine: the life of a connection. See engine.hpp.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "core/clock.hpp"
#include "engine/engine.hpp"

namespace activemx {
namespace {

std::uint64_t data_of(std::uint32_t slot, std::uint32_t generation) noexcept {
  return static_cast<std::uint64_t>(generation) << 32 | slot;
}

CloseReason reason_of_connect(int system_error) noexcept {
  if (system_error == ECONNREFUSED) return CloseReason::refused;
  return system_error == ETIMEDOUT ? CloseReason::timeout : CloseReason::unreachable;
}

}  // namespace

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
    watch(slot, connection, connection.is_paused ? 0U : std::uint32_t{EPOLLIN});
  }
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
