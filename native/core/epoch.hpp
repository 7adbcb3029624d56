// EpochDomain: memory that readers may still look at is freed only after the last of them has left.
//
// A reader pins the current epoch in a slot of its own before it loads a shared pointer, and unpins
// after its last look. A writer unlinks an object first, then retires it, which begins a new epoch;
// the object dies when every pinned epoch is later than its retirement. Readers never wait, and
// write nothing that other readers read.
//
// Why it holds: all four steps (pin, load of the pointer; unlink, scan of the slots) are
// sequentially consistent. A scan that misses a pin comes before it in the one order, so does the
// unlink, and the pointer that the reader then loads is the new one.
//
// Owned by the table. Slots: any thread takes one; it is used by one thread at a time. retire and
// collect: one thread at a time, under the table's writer lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace activemx {

class EpochDomain {
 public:
  struct alignas(64) Slot {
    std::atomic<std::uint64_t> pinned{0};  // 0 = not reading
    bool is_taken = false;                 // under slots_mutex_
  };

  // While it lives, what its thread loads from the table stays in memory. Not nested.
  class Pin {
   public:
    Pin(EpochDomain& domain, Slot& slot) noexcept : slot_(slot) {
      slot.pinned.store(domain.epoch_.load(std::memory_order_seq_cst), std::memory_order_seq_cst);
    }
    ~Pin() { slot_.pinned.store(0, std::memory_order_release); }
    Pin(const Pin&) = delete;
    Pin& operator=(const Pin&) = delete;

   private:
    Slot& slot_;
  };

  [[nodiscard]] Slot& take_slot() {
    const std::lock_guard lock(slots_mutex_);
    for (Slot& slot : slots_) {
      if (!slot.is_taken) {
        slot.is_taken = true;
        return slot;
      }
    }
    slots_.emplace_back().is_taken = true;
    return slots_.back();
  }

  void give_slot_back(Slot& slot) {
    const std::lock_guard lock(slots_mutex_);
    slot.is_taken = false;
  }

  // `object` has been unlinked.
  void retire(std::shared_ptr<const void> object) {
    const std::uint64_t epoch = epoch_.fetch_add(1, std::memory_order_seq_cst);
    retired_.push_back({epoch, std::move(object)});
  }

  [[nodiscard]] std::size_t retired_count() const noexcept { return retired_.size(); }

  // What nobody can look at any more; the caller frees it, outside the lock if that takes long.
  [[nodiscard]] std::vector<std::shared_ptr<const void>> collect() {
    const std::uint64_t oldest = oldest_pinned();
    std::vector<std::shared_ptr<const void>> unseen;
    std::size_t kept = 0;
    for (Retired& one : retired_) {
      if (one.epoch < oldest) unseen.push_back(std::move(one.object));
      else retired_[kept++] = std::move(one);
    }
    retired_.resize(kept);
    return unseen;
  }

 private:
  struct Retired {
    std::uint64_t epoch = 0;
    std::shared_ptr<const void> object;
  };

  [[nodiscard]] std::uint64_t oldest_pinned() {
    const std::lock_guard lock(slots_mutex_);
    std::uint64_t oldest = std::numeric_limits<std::uint64_t>::max();
    for (const Slot& slot : slots_) {
      const std::uint64_t pinned = slot.pinned.load(std::memory_order_seq_cst);
      if (pinned != 0 && pinned < oldest) oldest = pinned;
    }
    return oldest;
  }

  std::atomic<std::uint64_t> epoch_{1};
  std::mutex slots_mutex_;
  std::deque<Slot> slots_;
  std::vector<Retired> retired_;
};

}  // namespace activemx
