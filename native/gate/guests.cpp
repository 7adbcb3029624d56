// Guests: see guests.hpp.
#include "gate/guests.hpp"

#include <utility>

namespace activemx {

std::uint32_t Guests::add(int fd, Wait wait, const Client& client, std::int64_t now_ms) {
  std::uint32_t index = none;
  if (free_.empty()) {
    index = static_cast<std::uint32_t>(guests_.size());
    guests_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  Guest& guest = guests_[index];
  guest.fd = fd;
  guest.wait = wait;
  guest.client = client;
  guest.since_ms = now_ms;
  link(index);
  return index;
}

Guest Guests::take(std::uint32_t index) noexcept {
  unlink(index);
  Guest taken = std::exchange(guests_[index], Guest{});
  guests_[index].generation = taken.generation + 1;
  free_.push_back(index);
  return taken;
}

void Guests::requeue(std::uint32_t index, std::int64_t now_ms) noexcept {
  unlink(index);
  guests_[index].since_ms = now_ms;
  link(index);
}

std::uint32_t Guests::find(std::uint32_t index, std::uint32_t generation) const noexcept {
  const bool is_it = index < guests_.size() && guests_[index].generation == generation &&
                     guests_[index].fd >= 0;
  return is_it ? index : none;
}

void Guests::link(std::uint32_t index) noexcept {
  Guest& guest = guests_[index];
  Queue& queue = queues_[static_cast<std::size_t>(guest.wait)];
  guest.previous = queue.tail;
  guest.next = none;
  if (queue.tail == none) {
    queue.head = index;
  } else {
    guests_[queue.tail].next = index;
  }
  queue.tail = index;
  ++queue.count;
}

void Guests::unlink(std::uint32_t index) noexcept {
  const Guest& guest = guests_[index];
  Queue& queue = queues_[static_cast<std::size_t>(guest.wait)];
  if (guest.previous == none) {
    queue.head = guest.next;
  } else {
    guests_[guest.previous].next = guest.next;
  }
  if (guest.next == none) {
    queue.tail = guest.previous;
  } else {
    guests_[guest.next].previous = guest.previous;
  }
  --queue.count;
}

}  // namespace activemx
