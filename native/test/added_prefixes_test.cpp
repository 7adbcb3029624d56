// Entered prefixes: those that end go in the order of their ends, without a walk over the rest;
// strangers cannot make the hash collide; the bits of a publication are those of what is entered.
#include "core/added_prefixes.hpp"

#include <algorithm>
#include <vector>

#include "checks.hpp"

namespace activemx::test {
namespace {

AddedPrefix host(std::uint32_t address, std::int64_t ends_ms) {
  return {mapped(address), ends_ms, 1, 128, true, false};
}

// With a walk over all entries whenever one ends this takes hours.
void check_short_lives() {
  EpochDomain epochs;
  TableSignals signals;
  AddedPrefixes added(epochs, signals);
  constexpr std::uint32_t count = 200'000;
  const std::int64_t begin_ms = monotonic_ms();
  for (std::uint32_t i = 0; i < count; ++i) {
    // One in two has ended when it comes; the others stay.
    const std::int64_t ends_ms = i % 2 == 0 ? begin_ms - 1 : AddedPrefix::never;
    check(added.enter(host(i * 0x9e37'79b1U, ends_ms)) == TableError::none, "enters");
  }
  check(added.count() <= count / 2 + 1, "what has ended went with the changes that followed");
  added.sweep();
  check(added.count() == count / 2, "what has not ended stays");
}

// A change takes away few of them, whatever has ended meanwhile.
void check_small_sweeps() {
  EpochDomain epochs;
  TableSignals signals;
  AddedPrefixes added(epochs, signals);
  const std::int64_t ends_ms = monotonic_ms() + 200;
  constexpr std::uint32_t count = 1000;
  for (std::uint32_t i = 0; i < count; ++i) (void)added.enter(host(i, ends_ms));
  while (monotonic_ms() < ends_ms) {}
  std::vector<AddedPrefix> around;
  added.around(mapped(7), around);
  check(around.empty(), "what has ended holds nothing, swept or not");
  const std::size_t before = added.count();
  (void)added.enter(host(count, AddedPrefix::never));
  check(before - added.count() < AddedPrefixes::swept_at_once, "one change sweeps a few");
  added.sweep(count);
  check(added.count() == 1, "a wide sweep takes all");
}

// Entered again, an entry ends at its new end.
void check_new_end() {
  EpochDomain epochs;
  TableSignals signals;
  AddedPrefixes added(epochs, signals);
  (void)added.enter(host(1, monotonic_ms() - 1));
  (void)added.enter(host(1, AddedPrefix::never));
  added.sweep();
  check(added.count() == 1, "the old end is forgotten");
  (void)added.enter(host(1, monotonic_ms() - 1));
  added.sweep();
  check(added.count() == 0, "the new end counts");
}

// The fullest of 65,536 buckets under keys that go the same way in one of them at most.
std::uint32_t fullest(const std::vector<Key6>& keys, const HashSeed& seed) {
  std::vector<std::uint32_t> buckets(65'536);
  for (const Key6 key : keys) ++buckets[seeded_hash(key, 4, seed) >> 48];
  return *std::max_element(buckets.begin(), buckets.end());
}

void check_hash(Random& random) {
  const HashSeed seed = random_hash_seed();
  check(seed != random_hash_seed(), "seeds differ");
  constexpr std::size_t count = 65'536;
  std::vector<Key6> in_a_row(count);
  std::vector<Key6> upper(count);
  for (std::size_t i = 0; i < count; ++i) {
    in_a_row[i] = mapped(static_cast<std::uint32_t>(0x0a00'0000 + i));
    upper[i] = static_cast<Key6>(0x2001'0db8'0000'0000ULL + i) << 64;
  }
  // Thrown at random, the fullest of n buckets with n keys holds some 8; 40 never.
  check(fullest(in_a_row, seed) < 40 && fullest(upper, seed) < 40, "keys in a row spread");
  // Who collected keys of one bucket under another seed has collected nothing.
  const HashSeed known{random.next(), random.next(), random.next()};
  std::vector<Key6> collected;
  while (collected.size() < 64) {
    const Key6 key = static_cast<Key6>(random.next()) << 64 | random.next();
    if (seeded_hash(key, 4, known) >> 48 == 0) collected.push_back(key);
  }
  check(fullest(collected, known) == 64 && fullest(collected, seed) < 8, "the seed decides");
}

using Bits = std::vector<std::uint64_t>;

// The bits that entries of which nothing is forgotten ask for.
Bits bits_of(const std::vector<AddedPrefix>& entries) {
  Bits bits(Any24::word_count);
  for (const AddedPrefix& one : entries) {
    if (one.is_excluded) continue;
    const auto first = static_cast<std::uint32_t>(one.start);
    const auto last = first | static_cast<std::uint32_t>(~mask_of<Key6>(one.length));
    for (std::uint32_t word = first >> 14; word <= last >> 14; ++word) {
      bits[word] |= Any24::range_bits(word, first, last);
    }
  }
  return bits;
}

bool is_same_place(const AddedPrefix& a, const AddedPrefix& b) {
  return a.start == b.start && a.length == b.length && a.list == b.list;
}

void check_marks(Random& random) {
  EpochDomain epochs;
  TableSignals signals;
  AddedPrefixes added(epochs, signals);
  std::vector<AddedPrefix> kept;
  for (int step = 0; step < 4000; ++step) {
    const auto length = static_cast<std::uint8_t>(96 + 20 + random.below(13));
    const Key6 start =
        mapped(0x0a00'0000U | static_cast<std::uint32_t>(random.below(0x2000))) &
        mask_of<Key6>(length);
    const auto list = static_cast<ListId>(random.below(2));
    if (random.chance(40)) {
      added.drop_within(start, length, true, list);
      std::erase_if(kept, [&](const AddedPrefix& one) {
        return one.list == list && one.length >= length &&
               ((one.start ^ start) & mask_of<Key6>(length)) == 0;
      });
    } else {
      const AddedPrefix one{start, AddedPrefix::never, list, length, true, random.chance(30)};
      (void)added.enter(one);
      std::erase_if(kept, [&](const AddedPrefix& other) { return is_same_place(one, other); });
      kept.push_back(one);
    }
    if (step % 20 != 0) continue;
    Bits bits(Any24::word_count);
    added.mark_listed(bits);
    check(bits == bits_of(kept), "a bit for every /24 in which something is listed, no other");
  }
}

void check_maximum() {
  EpochDomain epochs;
  TableSignals signals;
  AddedPrefixes added(epochs, signals, 3);
  for (std::uint32_t i = 0; i < 3; ++i) (void)added.enter(host(i, AddedPrefix::never));
  check(added.enter(host(3, AddedPrefix::never)) == TableError::added_full, "is full");
  check(added.enter(host(2, AddedPrefix::never)) == TableError::none, "replaces when full");
  added.drop_within(mapped(0), 96, true, ClassTable::every_list);
  check(added.is_empty(), "drops all");
}

}  // namespace
}  // namespace activemx::test

int main() {
  using namespace activemx::test;
  Random random(seed());
  check_short_lives();
  check_small_sweeps();
  check_new_end();
  check_hash(random);
  check_marks(random);
  check_maximum();
  return 0;
}
