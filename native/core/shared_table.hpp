// SharedTable: one compiled IP table that every thread of the process reads.
//
// Ownership: a registry in this file's .cpp holds a shared_ptr by handle; whoever looked a handle
// up keeps the table alive. Threads: any thread may make a TableReader; one reader belongs to one
// thread. A swap is one atomic publication: a reader sees it at its next lookup, and the previous
// image lives until the last reader has let go of it: no memory is pulled from under a lookup.
#pragma once

#include <cstdint>
#include <memory>

namespace activemx {

// Index of a set of lists; 0 = in no list. The sets are kept beside the table.
using VerdictClass = std::uint16_t;

class SharedTable;

// The table behind a handle, or null. Any thread.
[[nodiscard]] std::shared_ptr<SharedTable> find_shared_table(std::uint32_t handle) noexcept;

// A thread's way into a table: pins the image it reads.
class TableReader {
 public:
  TableReader() noexcept = default;  // answers 0 to everything
  explicit TableReader(std::shared_ptr<SharedTable> table) noexcept;
  ~TableReader();
  TableReader(TableReader&&) noexcept;
  TableReader& operator=(TableReader&&) noexcept;
  TableReader(const TableReader&) = delete;
  TableReader& operator=(const TableReader&) = delete;

  // address: host byte order.
  [[nodiscard]] VerdictClass lookup4(std::uint32_t address) noexcept;
  // high, low: the two halves in host byte order. An IPv4-mapped address is looked up as IPv4.
  [[nodiscard]] VerdictClass lookup6(std::uint64_t high, std::uint64_t low) noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace activemx
