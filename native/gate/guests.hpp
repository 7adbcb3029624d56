// Guests: the connections that the gate itself holds, in three queues ordered by time.
//
// A guest waits for its PROXY header, for the end of the greeting delay, or sits in the tarpit.
// Every wait of one queue has the same length, so the head of each queue is the next one due. A
// guest is named by index and generation, as an engine's connection is. Threads: the gate's only.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/client.hpp"

namespace activemx {

enum class Wait : std::uint8_t { header, greeting, tarpit };
inline constexpr std::size_t waits = 3;

struct Guest {
  int fd = -1;
  std::uint32_t generation = 0;
  std::uint32_t previous = UINT32_MAX;
  std::uint32_t next = UINT32_MAX;
  std::int64_t since_ms = 0;  // monotonic; of the wait, for the tarpit of the last octet
  Wait wait = Wait::header;
  Client client;
  std::string reply;  // tarpit: what is still to be sent begins at reply_at
  std::uint32_t reply_at = 0;
};

class Guests {
 public:
  static constexpr std::uint32_t none = UINT32_MAX;

  // At the end of its queue.
  [[nodiscard]] std::uint32_t add(int fd, Wait wait, const Client& client, std::int64_t now_ms);
  // Takes the guest out: what it was is the caller's.
  Guest take(std::uint32_t index) noexcept;
  // Its wait begins again, at the end of its queue.
  void requeue(std::uint32_t index, std::int64_t now_ms) noexcept;
  // The guest that has waited longest, or none.
  [[nodiscard]] std::uint32_t first(Wait wait) const noexcept { return queue(wait).head; }
  [[nodiscard]] std::uint32_t count(Wait wait) const noexcept { return queue(wait).count; }
  [[nodiscard]] Guest& at(std::uint32_t index) noexcept { return guests_[index]; }
  [[nodiscard]] const Guest& at(std::uint32_t index) const noexcept { return guests_[index]; }
  // None if the name is stale.
  [[nodiscard]] std::uint32_t find(std::uint32_t index, std::uint32_t generation) const noexcept;

 private:
  struct Queue {
    std::uint32_t head = none;
    std::uint32_t tail = none;
    std::uint32_t count = 0;
  };

  [[nodiscard]] const Queue& queue(Wait wait) const noexcept {
    return queues_[static_cast<std::size_t>(wait)];
  }
  void link(std::uint32_t index) noexcept;
  void unlink(std::uint32_t index) noexcept;

  std::vector<Guest> guests_;
  std::vector<std::uint32_t> free_;
  std::array<Queue, waits> queues_{};
};

}  // namespace activemx
