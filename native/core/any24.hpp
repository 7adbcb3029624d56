// Any24: one bit for each IPv4 /24, set if a rule may list something in it; 2 MiB.
//
// Its memory stays in place for the table's whole life, because JavaScript reads it directly
// through an ArrayBuffer: bit (address >> 8 & 31) of 32-bit word address >> 13. A set bit promises
// nothing, an unset bit promises that no address of the /24 is listed. Readers: any thread, any
// time. Writers: one at a time, under the table's writer lock.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "core/huge_pages.hpp"

namespace activemx {

class Any24 {
 public:
  // Bits as an image gives them: bit (address >> 8 & 63) of word address >> 14, which on a machine
  // of least octet first is the same bit as in the 32-bit words of JavaScript.
  static constexpr std::size_t word_count = std::size_t{1} << 18;
  static constexpr std::size_t octets = word_count * sizeof(std::uint64_t);
  static_assert(std::endian::native == std::endian::little);

  Any24() : words_(word_count) {}

  [[nodiscard]] bool may_list(std::uint32_t address) const noexcept {
    return (words_[address >> 14].load(std::memory_order_acquire) >> (address >> 8 & 63) & 1) != 0;
  }

  // 1 or 0, for arithmetic.
  [[nodiscard]] std::uint32_t bit(std::uint32_t address) const noexcept {
    const std::uint64_t word = words_[address >> 14].load(std::memory_order_relaxed);
    return static_cast<std::uint32_t>(word >> (address >> 8 & 63) & 1);
  }

  // Before a new image is published: nothing that either lists may be denied.
  void add(std::span<const std::uint64_t> words) noexcept {
    for (std::size_t line = 0; line < word_count; line += line_words) {
      if (!differs(words, line)) continue;
      for (std::size_t i = line; i < line + line_words; ++i) {
        const std::uint64_t now = words_[i].load(std::memory_order_relaxed);
        if ((words[i] & ~now) != 0) words_[i].store(now | words[i], std::memory_order_release);
      }
    }
  }

  // After it: only what is needed remains.
  void assign(std::span<const std::uint64_t> words) noexcept {
    for (std::size_t line = 0; line < word_count; line += line_words) {
      if (!differs(words, line)) continue;
      for (std::size_t i = line; i < line + line_words; ++i) {
        if (words_[i].load(std::memory_order_relaxed) != words[i]) {
          words_[i].store(words[i], std::memory_order_release);
        }
      }
    }
  }

  void add_range(std::uint32_t first, std::uint32_t last) noexcept {
    for (std::uint32_t word = first >> 14; word <= last >> 14; ++word) {
      words_[word].fetch_or(range_bits(word, first, last), std::memory_order_release);
    }
  }

  // The bits of `word` that stand for /24s of [first, last].
  [[nodiscard]] static std::uint64_t range_bits(std::uint32_t word, std::uint32_t first,
                                                std::uint32_t last) noexcept {
    std::uint64_t bits = ~std::uint64_t{0};
    if (word == first >> 14) bits &= ~std::uint64_t{0} << (first >> 8 & 63);
    if (word == last >> 14) bits &= ~std::uint64_t{0} >> (63 - (last >> 8 & 63));
    return bits;
  }

  // For the view of JavaScript, which only reads.
  [[nodiscard]] void* data() noexcept { return words_.data(); }

 private:
  using Word = std::atomic<std::uint64_t>;
  static_assert(sizeof(Word) == sizeof(std::uint64_t) && Word::is_always_lock_free);

  // A cache line: most are the same in the next image, and are passed over in one step.
  static constexpr std::size_t line_words = 8;

  // Nobody but the caller, a writer, changes what is compared.
  [[nodiscard]] bool differs(std::span<const std::uint64_t> words,
                             std::size_t line) const noexcept {
    return std::memcmp(&words_[line], &words[line], line_words * sizeof(Word)) != 0;
  }

  HugeVector<Word> words_;
};

}  // namespace activemx
