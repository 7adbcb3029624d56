// LocalSocket and ReadArena: what a local stream does with its descriptor and its octets.
//
// The binding (binding/local_stream.cpp) waits in the environment's loop and calls these when the
// descriptor is ready; here is no loop, no JavaScript and no callback.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/backlog.hpp"

namespace activemx {

// Where octets are read to. What was taken is never written over: the arena is replaced when it is
// nearly full, and whoever holds octets of the old one keeps it.
// Ownership: the memory is its user's. Threads: one.
class ReadArena {
 public:
  static constexpr std::size_t octets = 65'536;
  static constexpr std::size_t spare = 16'384;  // with less room than that it is replaced

  [[nodiscard]] bool is_spent() const noexcept { return octets - used_ < spare; }
  // `memory` has `octets` octets.
  void replace(std::uint8_t* memory) noexcept {
    memory_ = memory;
    used_ = 0;
  }
  [[nodiscard]] std::span<std::uint8_t> room() const noexcept {
    return {memory_ + used_, octets - used_};
  }
  [[nodiscard]] std::size_t used() const noexcept { return used_; }
  void take(std::size_t count) noexcept { used_ += count; }

 private:
  std::uint8_t* memory_ = nullptr;
  std::size_t used_ = octets;
};

// A connected stream socket that never blocks and never raises SIGPIPE.
// Ownership: of a descriptor of its own, until close(). Threads: one.
class LocalSocket {
 public:
  enum class Sent { waits, drained, lost };

  LocalSocket() noexcept = default;
  ~LocalSocket() { close(); }
  LocalSocket(const LocalSocket&) = delete;
  LocalSocket& operator=(const LocalSocket&) = delete;

  // On a duplicate of `fd`. 0, or the system's error.
  [[nodiscard]] int open(int fd) noexcept;
  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }

  // Reads what is there: octets, 0 for nothing yet, −1 for the end or a loss.
  [[nodiscard]] std::ptrdiff_t receive(std::span<std::uint8_t> room) noexcept;
  // Sends at once what the kernel takes, keeps the rest. Octets that wait. A loss is told by the
  // next flush() or receive().
  std::size_t send(std::span<const std::uint8_t> octets) noexcept;
  // Sends what waits; to be called when the descriptor is writable.
  [[nodiscard]] Sent flush() noexcept;
  [[nodiscard]] bool has_backlog() const noexcept { return backlog_.size() > 0; }
  // Safe to call twice; what waits is dropped.
  void close() noexcept;

 private:
  int fd_ = -1;
  Backlog backlog_;
};

}  // namespace activemx
