// The tree finds the same place with every kind of vector instruction that this machine has.
#include "core/upper_tree.hpp"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <vector>

#include "checks.hpp"

namespace activemx::test {
namespace {

constexpr std::uint64_t greatest = std::numeric_limits<std::uint64_t>::max();

std::vector<std::uint64_t> random_keys(Random& random, std::size_t count) {
  std::vector<std::uint64_t> keys{0};
  while (keys.size() < count) {
    keys.push_back(random.chance(50) ? random.next() : keys[random.below(keys.size())] + 1);
  }
  if (random.chance(30)) keys.push_back(greatest);
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

void check_keys(Random& random, std::size_t count, SimdLevel simd) {
  const auto keys = random_keys(random, count);
  const UpperTree tree(keys, simd);
  check(std::equal(keys.begin(), keys.end(), tree.keys().begin(), tree.keys().end()), "its keys");
  std::vector<std::uint64_t> xs{0, 1, greatest, greatest - 1};
  for (int i = 0; i < 60; ++i) {
    const std::uint64_t key = keys[random.below(keys.size())];
    xs.insert(xs.end(), {key, key - 1, key + 1, random.next()});
  }
  for (std::size_t from = 0; from < xs.size(); from += UpperTree::in_flight) {
    const auto part = std::span(xs).subspan(from, std::min(UpperTree::in_flight, xs.size() - from));
    std::uint32_t places[UpperTree::in_flight];
    tree.last_up_to_many(part, places);
    for (std::size_t i = 0; i < part.size(); ++i) {
      const auto after = std::upper_bound(keys.begin(), keys.end(), part[i]);
      const auto wanted = static_cast<std::uint32_t>(after - keys.begin() - 1);
      check(places[i] == wanted, "many: the last key up to x");
      check(tree.last_up_to(part[i]) == wanted, "one: the last key up to x");
    }
  }
}

}  // namespace
}  // namespace activemx::test

int main() {
  using namespace activemx;
  using namespace activemx::test;
  Random random(seed());
  for (const SimdLevel simd : {SimdLevel::scalar, SimdLevel::avx2, SimdLevel::avx512}) {
    if (simd > best_simd()) {
      std::printf("skipped: this machine has no level %d\n", static_cast<int>(simd));
      continue;
    }
    for (const std::size_t count : {1U, 2U, 7U, 8U, 9U, 63U, 64U, 71U, 72U, 73U, 648U, 20'000U}) {
      for (int round = 0; round < 4; ++round) check_keys(random, count, simd);
    }
  }
  return 0;
}
