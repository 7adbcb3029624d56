// Backlog: octets that a socket did not take yet. Empty, it owns no memory.
//
// Ownership: the connection's. Threads: the engine's worker only. Whoever appends bounds the size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace activemx {

class Backlog {
 public:
  // False: no memory; the backlog is unchanged.
  [[nodiscard]] bool append(std::span<const std::uint8_t> octets) noexcept;
  [[nodiscard]] std::span<const std::uint8_t> view() const noexcept {
    return {octets_.get() + begin_, end_ - begin_};
  }
  // Forgets the first octets; the last one gives the memory back.
  void consume(std::size_t count) noexcept;
  void clear() noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }

 private:
  [[nodiscard]] bool make_room(std::size_t count) noexcept;

  std::unique_ptr<std::uint8_t[]> octets_;
  std::uint32_t begin_ = 0;
  std::uint32_t end_ = 0;
  std::uint32_t capacity_ = 0;
};

}  // namespace activemx
