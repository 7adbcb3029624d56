// TableSignals: what JavaScript reads, beside any24, to know that it may answer from the compiled
// structure by itself (src/tables/compiled-view.ts):
//
//   words 0 … 65535   how many entered IPv4 prefixes touch the /16: 0 = the compiled class stands
//   word  65536       how many there are at all, so that most questions read one word only
//   word  65537       the publication: another number, another structure
//
// Its memory stays in place for the table's whole life. Readers: any thread, any time. Writers: one
// at a time, under the table's writer lock.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace activemx {

class TableSignals {
 public:
  static constexpr std::size_t entered_word = std::size_t{1} << 16;
  static constexpr std::size_t publication_word = entered_word + 1;
  static constexpr std::size_t octets = (publication_word + 1) * sizeof(std::uint32_t);

  TableSignals() : words_(new Word[publication_word + 1]()) {}

  // Whether an entered prefix may hold the IPv4 address.
  [[nodiscard]] bool is_entered_near(std::uint32_t address) const noexcept {
    return words_[entered_word].load(std::memory_order_acquire) != 0 &&
           words_[address >> 16].load(std::memory_order_acquire) != 0;
  }

  // A prefix of addresses [first, last] has come. O(/16s that it touches).
  void count_entered(std::uint32_t first, std::uint32_t last) noexcept {
    words_[entered_word].fetch_add(1, std::memory_order_release);
    for (std::uint32_t at = first >> 16; at <= last >> 16; ++at) {
      words_[at].fetch_add(1, std::memory_order_release);
    }
  }

  // It has gone.
  void discount_entered(std::uint32_t first, std::uint32_t last) noexcept {
    for (std::uint32_t at = first >> 16; at <= last >> 16; ++at) {
      words_[at].fetch_sub(1, std::memory_order_release);
    }
    words_[entered_word].fetch_sub(1, std::memory_order_release);
  }

  void begin_publication() noexcept {
    words_[publication_word].fetch_add(1, std::memory_order_release);
  }
  [[nodiscard]] std::uint32_t publication() const noexcept {
    return words_[publication_word].load(std::memory_order_acquire);
  }

  // For the view of JavaScript, which only reads.
  [[nodiscard]] void* data() noexcept { return words_.get(); }

 private:
  using Word = std::atomic<std::uint32_t>;
  static_assert(sizeof(Word) == sizeof(std::uint32_t) && Word::is_always_lock_free);

  std::unique_ptr<Word[]> words_;
};

}  // namespace activemx
