// AddedPrefixes: what add() and remove() entered beside the compiled prefixes, live for all
// readers.
//
// Around an address, for each list, the longest entered prefix decides: add holds, an exclusion
// does not; a prefix of one list goes before one of all lists of equal length. A reader therefore
// applies what it finds from short to long to the class that the image gave.
//
// Every prefix lies on a level, a few bits shorter than itself; a bucket is found by hashing the
// address cut to the level, so a question costs one bucket per level in use. The hash is seeded:
// strangers, whose addresses are entered, cannot fill one bucket. Buckets are immutable and
// replaced whole; old ones go through the epoch domain. IPv4 lives at ::ffff:0:0/96, its lengths
// + 96.
//
// What has ended holds nothing from that moment on; it is taken away a few at a time, by the
// changes that follow, in the order of the ends.
//
// Readers: any thread, pinned. Writers: one at a time, under the table's writer lock.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "core/any24.hpp"
#include "core/class_table.hpp"
#include "core/epoch.hpp"
#include "core/ip_rules.hpp"
#include "core/seeded_hash.hpp"
#include "core/table_signals.hpp"
#include "core/verdict_class.hpp"

namespace activemx {

struct AddedPrefix {
  static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

  Key6 start;
  std::int64_t ends_ms;  // on the clock of monotonic_ms()
  ListId list;           // or ClassTable::every_list, for exclusions
  std::uint8_t length;   // of 128
  bool is_ipv4;
  bool is_excluded;

  [[nodiscard]] bool holds(Key6 address) const noexcept {
    return ((address ^ start) & mask_of<Key6>(length)) == 0;
  }
};

// Milliseconds since some moment; never set back.
[[nodiscard]] std::int64_t monotonic_ms() noexcept;

// An IPv4 address as it lives among IPv6 ones.
[[nodiscard]] constexpr Key6 mapped(std::uint32_t address) noexcept {
  return Key6{0xffff'0000'0000ULL} | address;
}
[[nodiscard]] constexpr bool is_mapped(Key6 address) noexcept { return address >> 32 == 0xffff; }

class AddedPrefixes {
 public:
  static constexpr std::size_t prefixes_max = 1'000'000;

  // Ended entries that one change takes away: more than it can enter, so they never pile up.
  static constexpr std::size_t swept_at_once = 64;

  // What touches a /16 of IPv4 is counted in `signals`.
  AddedPrefixes(EpochDomain& epochs, TableSignals& signals,
                std::size_t most = prefixes_max) noexcept
      : epochs_(epochs), signals_(signals), most_(most), seed_(random_hash_seed()) {}
  ~AddedPrefixes();
  AddedPrefixes(const AddedPrefixes&) = delete;
  AddedPrefixes& operator=(const AddedPrefixes&) = delete;

  // — readers —

  [[nodiscard]] bool is_empty() const noexcept {
    return live_.load(std::memory_order_acquire) == 0;
  }
  // The class of the address, `found` being that of the image.
  [[nodiscard]] VerdictClass apply(Key6 address, VerdictClass found,
                                   ClassTable& classes) const noexcept;
  // All that hold the address and have not ended, from short to long, those of all lists first.
  void around(Key6 address, std::vector<AddedPrefix>& into) const;

  // — writers —

  // Replaces an entry of the same prefix and list. added_full at the maximum.
  [[nodiscard]] TableError enter(const AddedPrefix& prefix);
  // Takes away all entries of the list (every_list: of any) that lie within the prefix;
  // `keeps_own`: but for the one of just this prefix and list.
  void drop_within(Key6 start, std::uint8_t length, bool is_ipv4, ListId list,
                   bool keeps_own = false);
  // Takes away what has ended, at most so many, the earliest first. O(log n) each.
  void sweep(std::size_t at_most = swept_at_once);
  // Those that have ended and are not swept yet included.
  [[nodiscard]] std::size_t count() const noexcept { return entries_.size(); }
  // Sets the bits of every /24 in which an entry lists something; bits as in Any24. O(2 MiB), and
  // the entries shorter than /24.
  void mark_listed(std::span<std::uint64_t> any24_words) const noexcept;

 private:
  using Bucket = std::vector<AddedPrefix>;
  using Buckets = std::vector<std::atomic<const Bucket*>>;

  struct Place {
    bool is_ipv4;
    Key6 start;
    std::uint8_t length;
    ListId list;
    auto operator<=>(const Place&) const = default;
  };

  static constexpr std::size_t bucket_count = std::size_t{1} << 16;
  static constexpr std::size_t level_count = 9;

  template <class Visit>
  void visit_around(Key6 address, Visit visit) const;
  [[nodiscard]] static std::size_t level_of(std::uint8_t length, bool is_ipv4) noexcept;
  [[nodiscard]] static std::uint8_t level_bits(std::size_t level, bool is_ipv4) noexcept;
  [[nodiscard]] std::size_t bucket_of(Key6 address, std::size_t level,
                                      bool is_ipv4) const noexcept;
  void put(const AddedPrefix& prefix);
  void take(const AddedPrefix& prefix);
  // The entry has come, changed or gone: its bit, or its place among the short ones, follows.
  void refresh_marks(const Place& place);
  [[nodiscard]] bool lists_in_24(Key6 start24) const;
  // Takes the entry out of everything; the one that follows it.
  std::map<Place, AddedPrefix>::iterator erase(std::map<Place, AddedPrefix>::iterator entry);
  // Publishes a bucket in place of the one that is there.
  void exchange(std::size_t at, std::unique_ptr<Bucket> bucket);
  void free_unseen();

  EpochDomain& epochs_;
  TableSignals& signals_;
  const std::size_t most_;
  const HashSeed seed_;
  std::atomic<std::size_t> live_{0};
  // Buckets exist from the first entry on.
  std::atomic<Buckets*> buckets_{nullptr};
  // Entries on each level, of IPv6 and of IPv4.
  std::array<std::array<std::atomic<std::uint32_t>, level_count>, 2> on_level_{};
  std::map<Place, AddedPrefix> entries_;
  // IPv4 entries that list something: a bit for each /24 that holds such of /24 or longer (empty
  // before the first), and the shorter ones.
  std::vector<std::uint64_t> marks24_;
  std::set<Place> short4_;
  // When each entry ends, those that never do left out.
  std::set<std::pair<std::int64_t, Place>> ends_;
};

}  // namespace activemx
