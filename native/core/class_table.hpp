// ClassTable: the verdict classes of one table: numbers for sets of lists, the same over all
// images.
//
// A number keeps its meaning at least until the second publication after it was given out: numbers
// are taken back only when all 65,535 are in use, and only such as no image and no answer has used
// for three generations; never those of the image in force. An image that finds no room leaves no
// number behind but what answers have used. Any thread; a lock guards the sets. Readers meet it
// only where entered prefixes change an answer, and find that step in a lock-free memory first.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/list_sets.hpp"
#include "core/verdict_class.hpp"

namespace activemx {

class ClassTable {
 public:
  static constexpr ListId every_list = 0xffff;

  ClassTable();

  // The id of a list, made at its first use; every_list where 65,535 names are in use.
  [[nodiscard]] ListId list_id(std::string_view name);
  [[nodiscard]] std::string list_name(ListId list) const;

  // Numbers for all sets of an image, its list ids mapped by `list_ids`; begins a new generation.
  // `in_force` are those of the image that it is to take the place of. Empty if there is no room.
  // Called by one publication at a time; lets others in between.
  [[nodiscard]] std::vector<VerdictClass> adopt(std::span<const ListSet> sets,
                                                std::span<const ListId> list_ids,
                                                std::span<const VerdictClass> in_force);

  // The class after `list` has been added to, or taken out of, the set of `from` (every_list: out).
  // Where no number is free, `from` stays. Lock-free for a remembered step.
  [[nodiscard]] VerdictClass step(VerdictClass from, ListId list, bool is_excluded);

  // Ascending list ids; empty for 0 and for a number not in use.
  [[nodiscard]] ListSet lists_of(VerdictClass verdict_class) const;
  [[nodiscard]] std::size_t count() const;  // the highest number
  // Grows whenever numbers have lost their meaning.
  [[nodiscard]] std::uint32_t times_taken_back() const noexcept {
    return times_taken_back_.load(std::memory_order_acquire);
  }

 private:
  static constexpr std::size_t remembered_slots = 4096;
  static constexpr std::uint32_t generations_kept = 3;
  // Sets that are numbered under one lock: some 0.1 ms for whoever waits.
  static constexpr std::size_t adopted_at_once = 128;

  struct Numbered {
    ListSet set;
    std::uint32_t made_in = 0;  // generation
    std::uint32_t used_in = 0;
    bool is_used = false;
    bool is_answered = false;  // not by an image alone
  };

  void begin_generation(std::span<const VerdictClass> in_force);
  // The image of this generation is refused: what it alone has numbered is free again.
  void take_back_refused();
  [[nodiscard]] VerdictClass slow_step(VerdictClass from, ListId list, bool is_excluded);
  // 0 for a set that is not empty: there is no room.
  [[nodiscard]] VerdictClass number_of(const ListSet& set, bool is_answer);
  void take_back_unused();
  void give_up(Numbered& one);

  mutable std::mutex mutex_;
  std::vector<std::string> list_names_;
  std::map<std::string, ListId, std::less<>> list_ids_;
  std::unordered_map<ListSet, VerdictClass, ListSetHash> numbers_;
  std::vector<Numbered> classes_;  // by number
  std::vector<VerdictClass> free_;
  std::uint32_t generation_ = 0;
  std::atomic<std::uint32_t> times_taken_back_{0};
  // {from 16, list 16, excluded 1, set 1 … result 16}: one word, so that readers need no lock.
  std::array<std::atomic<std::uint64_t>, remembered_slots> remembered_{};
};

}  // namespace activemx
