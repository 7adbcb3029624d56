// SharedTable: one compiled IP table that every thread of the process reads.
//
//   address ─▶ any24 (IPv4: no bit = not listed) ─▶ image (compiled) ─▶ added prefixes ─▶ class
//
// Ownership: a registry (table_registry.hpp) holds a shared_ptr by handle; whoever looked a handle
// up keeps the table alive. Threads: any thread may make a TableReader; one reader belongs to one
// thread. Any thread may call what changes the table: a lock lets one in at a time, and readers
// never wait.
//
// A swap: the bits of the new image join any24, then one atomic store publishes the image, then the
// bits that nobody needs any more go. So an address listed in both images is listed throughout, a
// reader sees the new image at its next lookup, and the old one lives until the last reader has let
// go of it: no memory is pulled from under a lookup.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/added_prefixes.hpp"
#include "core/any24.hpp"
#include "core/class_table.hpp"
#include "core/epoch.hpp"
#include "core/table_image.hpp"
#include "core/table_signals.hpp"
#include "core/verdict_class.hpp"

namespace activemx {

// An image and the any24 bits that it needs; made apart from the table, published once.
struct CompiledTable {
  std::shared_ptr<const TableImage> image;
  std::vector<std::uint64_t> any24;

  explicit CompiledTable(std::shared_ptr<const TableImage> compiled);
};

// An entry of a list that holds an address.
struct Origin {
  ListId list;
  Key6 start;           // an IPv4 prefix as mapped()
  std::uint8_t length;  // of 128
  std::string file;     // "" = none
  std::uint32_t line;   // 0 = none
  std::int64_t ends_ms = AddedPrefix::never;  // on the clock of monotonic_ms()
  std::uint32_t rule = no_rule;               // of its family in the image
};

struct Match {
  VerdictClass verdict_class = 0;
  std::uint8_t length = 0;  // of 128: the longest entry of the lists of the class
};

struct TableSizes {
  std::size_t prefixes4;
  std::size_t prefixes6;
  std::size_t classes;
  std::size_t added;   // some that have ended may still be among them
  std::size_t octets;  // of the lookup structures, any24 included, without provenance
};

// What JavaScript reads of a publication; whoever keeps `owner` keeps the memory.
struct HeldImage4 {
  std::shared_ptr<const void> owner;
  std::uint32_t publication;  // what the signals said then
  const Image4* image;
  std::span<const VerdictClass> meanings;  // by ImageClass
};

class SharedTable {
 public:
  // An empty table.
  SharedTable();
  ~SharedTable();
  SharedTable(const SharedTable&) = delete;
  SharedTable& operator=(const SharedTable&) = delete;

  // Swaps the compiled prefixes; what was entered stays. Numbering the classes takes some 20 ms
  // where there are 30,000, during which nobody else waits; the swap itself ≤ 1 ms.
  // too_many_classes: nothing changed.
  [[nodiscard]] TableError publish(CompiledTable compiled);
  // Enters a prefix for a list, at once; `ttl_ms` < 0 = until removed.
  [[nodiscard]] TableError add(Key6 start, std::uint8_t length, bool is_ipv4,
                               std::string_view list, std::int64_t ttl_ms);
  // Takes away what was entered within the prefix and excludes the rest; no list = all lists.
  [[nodiscard]] TableError remove(Key6 start, std::uint8_t length, bool is_ipv4,
                                  std::optional<std::string_view> list, std::int64_t ttl_ms);
  [[nodiscard]] TableSizes sizes();
  // The image that is published now.
  [[nodiscard]] std::shared_ptr<const TableImage> image();
  // The compiled IPv4 structure that is published now, for a reader that asks without a pin: it
  // stays in memory while it is held, and is the current one while publication() says the same.
  [[nodiscard]] HeldImage4 hold_image4();

  // Names and numbers; a number keeps its meaning until the second publish after it was given out.
  [[nodiscard]] ClassTable& classes() noexcept { return classes_; }
  [[nodiscard]] Any24& any24() noexcept { return any24_; }
  [[nodiscard]] TableSignals& signals() noexcept { return signals_; }

 private:
  friend class TableReader;

  // An image with what its own numbers mean in this table. Immutable.
  struct Published {
    std::shared_ptr<const TableImage> image;
    std::vector<VerdictClass> meanings;  // by ImageClass
    std::vector<ListId> list_ids;        // by the image's list id
  };

  [[nodiscard]] TableError enter(AddedPrefix prefix, std::int64_t ttl_ms);
  // Freed, whoever lets go of it last, in a thread of its own: that takes milliseconds, and the
  // last may be a thread that serves.
  [[nodiscard]] static std::shared_ptr<const Published> share(std::unique_ptr<Published> one);
  void exchange(std::shared_ptr<const Published> next, std::vector<std::uint64_t>& any24);
  // The caller holds writer_mutex_ or a pin.
  [[nodiscard]] const Published& published() const noexcept {
    return *published_.load(std::memory_order_seq_cst);
  }

  Any24 any24_;
  ClassTable classes_;
  EpochDomain epochs_;
  TableSignals signals_;
  AddedPrefixes added_;
  std::shared_ptr<const Published> current_;  // under writer_mutex_
  std::atomic<const Published*> published_;   // the same, for readers that pin
  // One publication at a time; taken before writer_mutex_.
  std::mutex publication_mutex_;
  std::mutex writer_mutex_;
};

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

  // classes[i] becomes the class of addresses[i]. A swap may fall between two of them.
  void lookup_many4(std::span<const std::uint32_t> addresses, VerdictClass* classes) noexcept;
  void lookup_many6(std::span<const Image6::Address> addresses, VerdictClass* classes) noexcept;

  // Class and longest prefix from one moment of the table.
  [[nodiscard]] Match match(Key6 address);
  // Every entry of every list that holds the address: longest first, then by list and input order,
  // an entered prefix last. Of what was entered only what decides. May read the image's snapshot: a
  // fault of that file goes to `fault`, and files and lines are missing.
  [[nodiscard]] std::vector<Origin> origins(Key6 address, TableError* fault = nullptr);

 private:
  using Published = SharedTable::Published;

  [[nodiscard]] Match match_added(Key6 address);
  [[nodiscard]] std::vector<Origin> origins_of(const Published& published, Key6 address,
                                               VerdictClass found) const;
  [[nodiscard]] static TableError name_places(const TableImage& image, bool is_ipv4,
                                              std::vector<Origin>& origins);
  [[nodiscard]] VerdictClass find(const Published& published, Key6 address) const noexcept;
  template <class Key>
  void add_compiled(const Published& published, const SortedRules<Key>& rules, Key address,
                    const ListSet& holding, std::vector<Origin>& into) const;
  void add_entered(Key6 address, const ListSet& holding, std::vector<Origin>& into) const;
  void extend(std::span<const std::uint32_t> addresses, VerdictClass* classes) const noexcept;

  std::shared_ptr<SharedTable> table_;
  EpochDomain::Slot* slot_ = nullptr;
};

}  // namespace activemx
