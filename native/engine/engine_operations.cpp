// Engine: operations out. See engine.hpp.
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/clock.hpp"
#include "engine/engine.hpp"

namespace activemx {
namespace {

constexpr int send_flags = MSG_DONTWAIT | MSG_NOSIGNAL;

// Most sends have one part, and for one part the kernel has less to check.
ssize_t send_parts(int fd, std::span<iovec> parts, int flags) noexcept {
  if (parts.size() == 1) return ::send(fd, parts[0].iov_base, parts[0].iov_len, flags);
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  return ::sendmsg(fd, &message, flags);
}

}  // namespace

std::size_t Engine::execute(std::size_t operations) noexcept {
  Gather gather;
  const std::size_t count =
      std::min(operations, buffers_.operations.size() / operation_stride);
  for (std::size_t at = 0; at < count; ++at) {
    execute_one(buffers_.operations.data() + at * operation_stride, gather);
  }
  flush(gather);
  return pending_.size();
}

void Engine::send(SlotName name, std::span<const std::uint8_t> octets) noexcept {
  Gather gather;
  execute_send(name, octets, gather);
  flush(gather);
}

void Engine::execute_one(const std::int32_t* words, Gather& gather) noexcept {
  const auto kind = static_cast<OperationKind>(words[0]);
  const SlotName name{static_cast<std::uint32_t>(words[1]), static_cast<std::uint32_t>(words[2])};
  const auto first = static_cast<std::uint32_t>(words[3]);
  const auto second = static_cast<std::uint32_t>(words[4]);
  if (kind == OperationKind::send_output || kind == OperationKind::forward_input) {
    const auto arena = kind == OperationKind::send_output
                           ? std::span<const std::uint8_t>(buffers_.output)
                           : std::span<const std::uint8_t>(buffers_.input);
    if (first <= arena.size() && second <= arena.size() - first) {
      execute_send(name, arena.subspan(first, second), gather);
    }
    return;
  }
  // What is said last waits for the end of the connection: one segment carries both.
  const bool is_last = kind == OperationKind::close && gather.is_for(name);
  flush(gather, is_last ? MSG_MORE : 0);
  Connection* connection = find(name);
  const bool is_live = connection != nullptr && (connection->state == State::open ||
                                                 connection->state == State::connecting);
  if (!is_live) return;
  switch (kind) {
    case OperationKind::pause:
      connection->is_paused = true;  // epoll learns of it when the next octets come
      break;
    case OperationKind::resume:
      connection->is_paused = false;
      if (connection->state == State::open && !connection->has_peer_ended) {
        watch(name.slot, *connection, connection->interest | EPOLLIN);
      }
      break;
    case OperationKind::deadline:
      if (connection->state == State::open) {
        const std::int64_t at = first == 0 ? 0 : coarse_monotonic_ms() + first;
        slab_.deadline(name.slot).store(at, std::memory_order_relaxed);
      }
      break;
    case OperationKind::await_drain:
      connection->wants_drain = true;
      check_drain(name.slot, *connection);
      break;
    case OperationKind::close:
      connection->is_done = first != 0;
      close_politely(name.slot, *connection);
      break;
    case OperationKind::reset:
      finish_with_reset(name.slot, *connection, CloseReason::closed);
      break;
    case OperationKind::send_output:
    case OperationKind::forward_input:
      break;
  }
}

void Engine::execute_send(SlotName name, std::span<const std::uint8_t> octets,
                          Gather& gather) noexcept {
  if (!gather.is_for(name) || gather.count == Gather::parts_max) {
    flush(gather);
    Connection* connection = find(name);
    const bool is_live = connection != nullptr && (connection->state == State::open ||
                                                   connection->state == State::connecting);
    if (!is_live) return;
    gather.name = name;
    gather.connection = connection;
  }
  iovec& part = gather.parts[gather.count++];
  part.iov_base = const_cast<std::uint8_t*>(octets.data());
  part.iov_len = octets.size();
  gather.octets += octets.size();
}

// What the socket does not take goes into the backlog, and epoll tells when it takes more.
void Engine::flush(Gather& gather, int more) noexcept {
  Connection* const connection = gather.connection;
  if (connection == nullptr) return;
  const std::uint32_t slot = gather.name.slot;
  std::size_t sent = 0;
  if (connection->state == State::open && connection->backlog.size() == 0) {
    const std::span<iovec> parts{gather.parts.data(), gather.count};
    const ssize_t taken = send_parts(connection->fd, parts, send_flags | more);
    if (taken < 0 && errno != EAGAIN && errno != EINTR) {
      finish(slot, *connection, CloseReason::reset);
      gather = Gather{};
      return;
    }
    sent = taken > 0 ? static_cast<std::size_t>(taken) : 0;
    subtract_backlog(slot, sent);
  }
  bool is_kept = connection->backlog.size() + gather.octets - sent <= limits_.backlog_octets_max;
  std::size_t skipped = 0;
  for (std::size_t at = 0; at < gather.count && is_kept; ++at) {
    const iovec& part = gather.parts[at];
    const std::size_t skip = std::min(part.iov_len, sent - skipped);
    skipped += skip;
    is_kept = connection->backlog.append(
        {static_cast<const std::uint8_t*>(part.iov_base) + skip, part.iov_len - skip});
  }
  gather = Gather{};
  if (!is_kept) {
    finish_with_reset(slot, *connection, CloseReason::reset);
  } else if (connection->backlog.size() > 0 && connection->state == State::open) {
    watch(slot, *connection, connection->interest | EPOLLOUT);
  }
}

void Engine::close_politely(std::uint32_t slot, Connection& connection) noexcept {
  if (connection.state == State::connecting) {
    finish(slot, connection, CloseReason::closed);
    return;
  }
  connection.reason = connection.has_peer_ended ? CloseReason::ended : CloseReason::closed;
  connection.state = State::flushing;
  connection.is_paused = false;
  if (connection.backlog.size() == 0) {
    after_flush(slot, connection);
    return;
  }
  const std::int64_t deadline = coarse_monotonic_ms() + limits_.close_flush_ms;
  slab_.deadline(slot).store(deadline, std::memory_order_relaxed);
  if (!connection.has_peer_ended) watch(slot, connection, connection.interest | EPOLLIN);
}

// A close with unread octets would send a reset, which may destroy our last reply on its way: so
// the peer's end is awaited for a while; not at all if it is done and nothing of it lies unread,
// and for a moment if something does: who goes on dripping octets holds no place by that.
void Engine::after_flush(std::uint32_t slot, Connection& connection) noexcept {
  if (connection.is_done && !has_unread(connection)) {
    finish(slot, connection, connection.reason);
    return;
  }
  if (connection.has_peer_ended || ::shutdown(connection.fd, SHUT_WR) != 0) {
    finish(slot, connection, connection.reason);
    return;
  }
  connection.state = State::lingering;
  const std::int64_t linger_ms = connection.is_done ? limits_.done_linger_ms : limits_.linger_ms;
  slab_.deadline(slot).store(coarse_monotonic_ms() + linger_ms, std::memory_order_relaxed);
  watch(slot, connection, EPOLLIN);
}

bool Engine::has_unread(const Connection& connection) noexcept {
  return ::recv(connection.fd, nullptr, 1, MSG_DONTWAIT | MSG_TRUNC) > 0;
}

void Engine::subtract_backlog(std::uint32_t slot, std::size_t octets) noexcept {
  buffers_.backlogs[slot] -= static_cast<std::int32_t>(octets);
}

std::size_t Engine::octets_in_kernel(SlotName name) noexcept {
  const Connection* connection = find(name);
  int octets = 0;
  if (connection == nullptr || ::ioctl(connection->fd, SIOCOUTQ, &octets) != 0) return 0;
  return static_cast<std::size_t>(octets);
}

int Engine::detach(SlotName name, std::size_t& rest) noexcept {
  rest = 0;
  Connection* connection = find(name);
  if (connection == nullptr || connection->state != State::open) return -1;
  const auto octets = connection->backlog.view();
  if (octets.size() > buffers_.output.size()) return -1;
  if (::epoll_ctl(epoll_, EPOLL_CTL_DEL, connection->fd, nullptr) != 0) return -1;
  if (!octets.empty()) std::memcpy(buffers_.output.data(), octets.data(), octets.size());
  rest = octets.size();
  const int fd = connection->fd;
  connection->fd = -1;
  connection->backlog.clear();
  connection->pass.reset();
  connection->state = State::detached;
  slab_.deadline(name.slot).store(0, std::memory_order_relaxed);
  connections_.fetch_sub(1, std::memory_order_relaxed);
  return fd;
}

void Engine::release_detached(SlotName name) noexcept {
  Connection* connection = find(name);
  if (connection == nullptr || connection->state != State::detached) return;
  give_place_back(*connection);
  gone_.push_back(name.slot);
}

void Engine::set_client_deadline(std::int64_t after_ms) noexcept {
  const std::lock_guard lock(mutex_);
  client_deadline_ms_ = after_ms;
  const std::int64_t now = coarse_monotonic_ms();
  for (std::uint32_t slot = 0, used = slab_.used(); slot < used; ++slot) {
    const Connection& connection = slab_.at(slot);
    if (connection.state != State::waiting) continue;
    const std::int64_t waited = now - connection.client.accepted_at_ms;
    const std::int64_t at = after_ms == 0 ? 0 : std::max<std::int64_t>(1, now + after_ms - waited);
    slab_.deadline(slot).store(at, std::memory_order_relaxed);
  }
}

void Engine::stop() noexcept {
  const std::lock_guard lock(mutex_);
  is_taking_ = false;
  for (std::uint32_t slot = 0, used = slab_.used(); slot < used; ++slot) {
    Connection& connection = slab_.at(slot);
    if (connection.state == State::waiting) expire(slot, connection);
  }
}

}  // namespace activemx
