// Entered prefixes, see added_prefixes.hpp.
#include "core/added_prefixes.hpp"

#include <time.h>

#include <algorithm>
#include <tuple>
#include <utility>

namespace activemx {
namespace {

// From short to long; of equal length those of all lists first.
[[nodiscard]] bool goes_before(const AddedPrefix& a, const AddedPrefix& b) noexcept {
  const bool a_is_every = a.list == ClassTable::every_list;
  const bool b_is_every = b.list == ClassTable::every_list;
  return std::tuple(a.length, !a_is_every) < std::tuple(b.length, !b_is_every);
}

[[nodiscard]] bool is_same_place(const AddedPrefix& a, const AddedPrefix& b) noexcept {
  return a.start == b.start && a.length == b.length && a.list == b.list && a.is_ipv4 == b.is_ipv4;
}

constexpr std::size_t retired_max = 256;
constexpr std::uint8_t length24 = 96 + 24;

[[nodiscard]] std::uint32_t first4(Key6 start) noexcept {
  return static_cast<std::uint32_t>(start);
}

[[nodiscard]] std::uint32_t last4(Key6 start, std::uint8_t length) noexcept {
  return first4(start) | static_cast<std::uint32_t>(~mask_of<Key6>(length));
}

}  // namespace

std::int64_t monotonic_ms() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

AddedPrefixes::~AddedPrefixes() {
  Buckets* const buckets = buckets_.load();
  if (buckets == nullptr) return;
  for (auto& bucket : *buckets) delete bucket.load();
  delete buckets;
}

// IPv6: the multiple of 16 below the length. IPv4: the multiple of 8, from 96 on.
std::size_t AddedPrefixes::level_of(std::uint8_t length, bool is_ipv4) noexcept {
  return is_ipv4 ? (length - 96U) / 8 : length / 16U;
}

std::uint8_t AddedPrefixes::level_bits(std::size_t level, bool is_ipv4) noexcept {
  return static_cast<std::uint8_t>(is_ipv4 ? 96 + level * 8 : level * 16);
}

std::size_t AddedPrefixes::bucket_of(Key6 address, std::size_t level,
                                     bool is_ipv4) const noexcept {
  const Key6 key = address & mask_of<Key6>(level_bits(level, is_ipv4));
  return static_cast<std::size_t>(seeded_hash(key, level, seed_) >> 48);
}

template <class Visit>
void AddedPrefixes::visit_around(Key6 address, Visit visit) const {
  const Buckets* const buckets = buckets_.load(std::memory_order_acquire);
  if (buckets == nullptr) return;
  const bool is_ipv4 = is_mapped(address);
  // From long to short: an entry gives way to a shorter one that was entered before it left.
  std::array<const Bucket*, level_count> found{};
  for (std::size_t level = level_count; level-- > 0;) {
    if (on_level_[is_ipv4][level].load(std::memory_order_acquire) == 0) continue;
    const auto& place = (*buckets)[bucket_of(address, level, is_ipv4)];
    found[level] = place.load(std::memory_order_seq_cst);
  }
  std::int64_t now_ms = -1;  // read when the first entry is met
  for (std::size_t level = 0; level < level_count; ++level) {
    if (found[level] == nullptr) continue;
    for (const AddedPrefix& one : *found[level]) {
      if (one.is_ipv4 != is_ipv4 || level_of(one.length, is_ipv4) != level) continue;
      if (!one.holds(address)) continue;
      if (now_ms < 0) now_ms = monotonic_ms();
      if (one.ends_ms > now_ms) visit(one);
    }
  }
}

VerdictClass AddedPrefixes::apply(Key6 address, VerdictClass found,
                                  ClassTable& classes) const noexcept {
  visit_around(address, [&](const AddedPrefix& one) {
    found = classes.step(found, one.list, one.is_excluded);
  });
  return found;
}

void AddedPrefixes::around(Key6 address, std::vector<AddedPrefix>& into) const {
  visit_around(address, [&](const AddedPrefix& one) { into.push_back(one); });
}

TableError AddedPrefixes::enter(const AddedPrefix& prefix) {
  sweep();
  const Place place{prefix.is_ipv4, prefix.start, prefix.length, prefix.list};
  const auto known = entries_.find(place);
  if (known == entries_.end() && entries_.size() >= most_) return TableError::added_full;
  put(prefix);
  if (known != entries_.end()) {
    ends_.erase({known->second.ends_ms, place});
    known->second = prefix;
  } else {
    entries_.emplace(place, prefix);
    if (place.is_ipv4) {
      signals_.count_entered(first4(place.start), last4(place.start, place.length));
    }
  }
  if (prefix.ends_ms != AddedPrefix::never) ends_.emplace(prefix.ends_ms, place);
  refresh_marks(place);
  live_.store(entries_.size(), std::memory_order_release);
  free_unseen();
  return TableError::none;
}

void AddedPrefixes::drop_within(Key6 start, std::uint8_t length, bool is_ipv4, ListId list,
                                bool keeps_own) {
  const Place own{is_ipv4, start, length, list};
  const Key6 last = start | ~mask_of<Key6>(length);
  auto at = entries_.lower_bound({is_ipv4, start, length, 0});
  while (at != entries_.end() && at->first.is_ipv4 == is_ipv4 && at->first.start <= last) {
    const bool is_of_list = list == ClassTable::every_list || at->first.list == list;
    const bool is_meant = is_of_list && !(keeps_own && at->first == own);
    if (is_meant && at->first.length >= length) at = erase(at);
    else ++at;
  }
  live_.store(entries_.size(), std::memory_order_release);
  free_unseen();
}

void AddedPrefixes::sweep(std::size_t at_most) {
  if (ends_.empty()) return;
  const std::int64_t now_ms = monotonic_ms();
  for (; at_most > 0 && !ends_.empty() && ends_.begin()->first <= now_ms; --at_most) {
    erase(entries_.find(ends_.begin()->second));
  }
  live_.store(entries_.size(), std::memory_order_release);
  free_unseen();
}

std::map<AddedPrefixes::Place, AddedPrefix>::iterator AddedPrefixes::erase(
    std::map<Place, AddedPrefix>::iterator entry) {
  const Place place = entry->first;
  take(entry->second);
  ends_.erase({entry->second.ends_ms, place});
  const auto next = entries_.erase(entry);
  if (place.is_ipv4) {
    signals_.discount_entered(first4(place.start), last4(place.start, place.length));
  }
  refresh_marks(place);
  return next;
}

void AddedPrefixes::refresh_marks(const Place& place) {
  if (!place.is_ipv4) return;
  if (place.length < length24) {
    const auto known = entries_.find(place);
    if (known != entries_.end() && !known->second.is_excluded) short4_.insert(place);
    else short4_.erase(place);
    return;
  }
  if (marks24_.empty()) marks24_.resize(Any24::word_count);
  const Key6 start24 = place.start & mask_of<Key6>(length24);
  const std::uint32_t address = first4(start24);
  const std::uint64_t bit = std::uint64_t{1} << (address >> 8 & 63);
  if (lists_in_24(start24)) marks24_[address >> 14] |= bit;
  else marks24_[address >> 14] &= ~bit;
}

// Whether an entry of /24 or longer lists something in the /24.
bool AddedPrefixes::lists_in_24(Key6 start24) const {
  const Key6 last = start24 | ~mask_of<Key6>(length24);
  auto at = entries_.lower_bound({true, start24, length24, 0});
  while (at != entries_.end() && at->first.is_ipv4 && at->first.start <= last) {
    if (!at->second.is_excluded) return true;
    ++at;
  }
  return false;
}

void AddedPrefixes::mark_listed(std::span<std::uint64_t> any24_words) const noexcept {
  for (std::size_t i = 0; i < marks24_.size(); ++i) any24_words[i] |= marks24_[i];
  for (const Place& place : short4_) {
    const std::uint32_t first = first4(place.start);
    const std::uint32_t last = last4(place.start, place.length);
    for (std::uint32_t word = first >> 14; word <= last >> 14; ++word) {
      any24_words[word] |= Any24::range_bits(word, first, last);
    }
  }
}

void AddedPrefixes::put(const AddedPrefix& prefix) {
  if (buckets_.load(std::memory_order_relaxed) == nullptr) {
    buckets_.store(new Buckets(bucket_count), std::memory_order_release);
  }
  const std::size_t level = level_of(prefix.length, prefix.is_ipv4);
  const std::size_t at = bucket_of(prefix.start, level, prefix.is_ipv4);
  const Bucket* const old = (*buckets_.load())[at].load();
  auto bucket = old == nullptr ? std::make_unique<Bucket>() : std::make_unique<Bucket>(*old);
  const auto same = std::find_if(bucket->begin(), bucket->end(), [&](const AddedPrefix& one) {
    return is_same_place(one, prefix);
  });
  if (same != bucket->end()) {
    *same = prefix;
  } else {
    bucket->insert(std::upper_bound(bucket->begin(), bucket->end(), prefix, goes_before), prefix);
    on_level_[prefix.is_ipv4][level].fetch_add(1, std::memory_order_release);
  }
  exchange(at, std::move(bucket));
}

void AddedPrefixes::take(const AddedPrefix& prefix) {
  const std::size_t level = level_of(prefix.length, prefix.is_ipv4);
  const std::size_t at = bucket_of(prefix.start, level, prefix.is_ipv4);
  auto bucket = std::make_unique<Bucket>(*(*buckets_.load())[at].load());
  std::erase_if(*bucket, [&](const AddedPrefix& one) { return is_same_place(one, prefix); });
  if (bucket->empty()) bucket.reset();
  exchange(at, std::move(bucket));
  on_level_[prefix.is_ipv4][level].fetch_sub(1, std::memory_order_release);
}

void AddedPrefixes::exchange(std::size_t at, std::unique_ptr<Bucket> bucket) {
  const Bucket* const old = (*buckets_.load())[at].exchange(bucket.release());
  if (old != nullptr) epochs_.retire(std::shared_ptr<const Bucket>(old));
}

void AddedPrefixes::free_unseen() {
  if (epochs_.retired_count() > retired_max) epochs_.collect().clear();
}

}  // namespace activemx
