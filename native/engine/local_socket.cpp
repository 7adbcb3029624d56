// What a local stream does with its descriptor; see local_socket.hpp.
#include "engine/local_socket.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace activemx {
namespace {

bool is_for_later(int error) { return error == EAGAIN || error == EINTR; }

}  // namespace

int LocalSocket::open(int fd) noexcept {
  close();
  fd_ = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  return fd_ < 0 ? errno : 0;
}

std::ptrdiff_t LocalSocket::receive(std::span<std::uint8_t> room) noexcept {
  const ssize_t got = ::recv(fd_, room.data(), room.size(), MSG_DONTWAIT);
  if (got > 0) return got;
  return got < 0 && is_for_later(errno) ? 0 : -1;
}

std::size_t LocalSocket::send(std::span<const std::uint8_t> octets) noexcept {
  if (!is_open()) return 0;
  if (backlog_.size() == 0) {
    const ssize_t sent =
        ::send(fd_, octets.data(), octets.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) octets = octets.subspan(static_cast<std::size_t>(sent));
  }
  // Also of a lost connection: the flush that follows tells. Without memory there is no way on.
  if (!backlog_.append(octets)) ::shutdown(fd_, SHUT_RDWR);
  return backlog_.size();
}

LocalSocket::Sent LocalSocket::flush() noexcept {
  const auto octets = backlog_.view();
  const ssize_t sent =
      ::send(fd_, octets.data(), octets.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) return is_for_later(errno) ? Sent::waits : Sent::lost;
  backlog_.consume(static_cast<std::size_t>(sent));
  return backlog_.size() == 0 ? Sent::drained : Sent::waits;
}

void LocalSocket::close() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  backlog_.clear();
}

}  // namespace activemx
