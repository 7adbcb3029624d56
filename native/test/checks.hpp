// What the C++ tests share: a check that names its place, and random numbers from a printed seed.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <source_location>

namespace activemx::test {

// Ends the test with the place of the first claim that does not hold.
inline void check(bool claim, const char* what,
                  std::source_location place = std::source_location::current()) {
  if (claim) return;
  std::fprintf(stderr, "%s:%u: %s\n", place.file_name(), place.line(), what);
  std::exit(1);
}

// SplitMix64 (Steele, Lea, Flood 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t mixed = state_ += 0x9e37'79b9'7f4a'7c15ULL;
    mixed = (mixed ^ mixed >> 30) * 0xbf58'476d'1ce4'e5b9ULL;
    mixed = (mixed ^ mixed >> 27) * 0x94d0'49bb'1331'11ebULL;
    return mixed ^ mixed >> 31;
  }

  // Below `end`, which is > 0.
  std::uint64_t below(std::uint64_t end) { return next() % end; }
  bool chance(std::uint64_t in_hundred) { return below(100) < in_hundred; }

 private:
  std::uint64_t state_;
};

// ACTIVEMX_SEED, else a fixed one; printed so that a failure can be repeated.
inline std::uint64_t seed() {
  const char* const given = std::getenv("ACTIVEMX_SEED");
  const std::uint64_t value = given == nullptr ? 20'261'121 : std::strtoull(given, nullptr, 10);
  std::printf("seed %llu (ACTIVEMX_SEED)\n", static_cast<unsigned long long>(value));
  return value;
}

}  // namespace activemx::test
