// Construction and descent, see upper_tree.hpp.
#include "core/upper_tree.hpp"

#include <algorithm>
#include <limits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace activemx {
namespace {

// Padding of the last node of a level. Greater than every x that is searched: the greatest x of all
// is answered without a descent.
constexpr std::uint64_t padding = std::numeric_limits<std::uint64_t>::max();

}  // namespace

UpperTree::UpperTree(std::span<const std::uint64_t> keys, SimdLevel simd)
    : key_count_(keys.size()), step_(step_for(simd)) {
  std::vector<std::uint64_t> firsts(keys.begin(), keys.end());  // of what the level's nodes divide
  std::size_t each = node_keys;
  do {
    // Leaves hold eight keys; a node above divides nine children by the first keys of the last
    // eight.
    const std::size_t skipped = each - node_keys;
    std::vector<Node> level((firsts.size() + each - 1) / each);
    std::vector<std::uint64_t> own_firsts(level.size());
    for (std::size_t node = 0; node < level.size(); ++node) {
      own_firsts[node] = firsts[node * each];
      for (std::size_t key = 0; key < node_keys; ++key) {
        const std::size_t from = node * each + skipped + key;
        level[node].keys[key] = from < firsts.size() ? firsts[from] : padding;
      }
    }
    levels_.push_back(std::move(level));
    firsts = std::move(own_firsts);
    each = fan_out;
  } while (firsts.size() > 1);
}

std::uint32_t UpperTree::last_up_to(std::uint64_t x) const noexcept {
  std::uint32_t place = 0;
  last_up_to_many({&x, 1}, &place);
  return place;
}

void UpperTree::last_up_to_many(std::span<const std::uint64_t> xs,
                                std::uint32_t* places) const noexcept {
  std::fill_n(places, xs.size(), 0U);
  for (std::size_t level = levels_.size(); level-- > 1;) {
    step_(levels_[level].data(), xs, places, fan_out);
    const Node* below = levels_[level - 1].data();
    for (std::size_t i = 0; i < xs.size(); ++i) {
      // The greatest x counts padding as well and would leave the level.
      if (xs[i] == padding) places[i] = static_cast<std::uint32_t>(levels_[level - 1].size() - 1);
      __builtin_prefetch(below + places[i]);
    }
  }
  step_(levels_[0].data(), xs, places, node_keys);
  for (std::size_t i = 0; i < xs.size(); ++i) {
    places[i] = xs[i] == padding ? static_cast<std::uint32_t>(key_count_ - 1) : places[i] - 1;
  }
}

std::span<const std::uint64_t> UpperTree::keys() const noexcept {
  return key_count_ == 0 ? std::span<const std::uint64_t>()
                         : std::span(levels_[0].front().keys, key_count_);
}

std::size_t UpperTree::octets() const noexcept {
  std::size_t sum = 0;
  for (const auto& level : levels_) sum += level.size() * sizeof(Node);
  return sum;
}

void UpperTree::step_scalar(const Node* level, std::span<const std::uint64_t> xs,
                            std::uint32_t* nodes, std::uint32_t children) noexcept {
  for (std::size_t i = 0; i < xs.size(); ++i) {
    std::uint32_t count = 0;
    for (const std::uint64_t key : level[nodes[i]].keys) count += key <= xs[i] ? 1U : 0U;
    nodes[i] = nodes[i] * children + count;
  }
}

#if defined(__x86_64__)

[[gnu::target("avx2,popcnt")]] void UpperTree::step_avx2(const Node* level,
                                                         std::span<const std::uint64_t> xs,
                                                         std::uint32_t* nodes,
                                                         std::uint32_t children) noexcept {
  // AVX2 compares signed only: both sides are moved by half the range.
  const __m256i half = _mm256_set1_epi64x(std::numeric_limits<std::int64_t>::min());
  for (std::size_t i = 0; i < xs.size(); ++i) {
    const auto* keys = reinterpret_cast<const __m256i*>(level[nodes[i]].keys);
    const __m256i x = _mm256_xor_si256(_mm256_set1_epi64x(static_cast<long long>(xs[i])), half);
    const __m256i low = _mm256_cmpgt_epi64(_mm256_xor_si256(_mm256_load_si256(keys), half), x);
    const __m256i high = _mm256_cmpgt_epi64(_mm256_xor_si256(_mm256_load_si256(keys + 1), half), x);
    const int above = _mm256_movemask_pd(_mm256_castsi256_pd(low)) |
                      _mm256_movemask_pd(_mm256_castsi256_pd(high)) << 4;
    const auto count = node_keys - static_cast<unsigned>(__builtin_popcount(
                                       static_cast<unsigned>(above)));
    nodes[i] = nodes[i] * children + static_cast<std::uint32_t>(count);
  }
}

[[gnu::target("avx512f,popcnt")]] void UpperTree::step_avx512(const Node* level,
                                                              std::span<const std::uint64_t> xs,
                                                              std::uint32_t* nodes,
                                                              std::uint32_t children) noexcept {
  for (std::size_t i = 0; i < xs.size(); ++i) {
    const __m512i keys = _mm512_load_si512(level[nodes[i]].keys);
    const __m512i x = _mm512_set1_epi64(static_cast<long long>(xs[i]));
    const unsigned up_to = _mm512_cmple_epu64_mask(keys, x);
    nodes[i] = nodes[i] * children + static_cast<std::uint32_t>(__builtin_popcount(up_to));
  }
}

UpperTree::Step UpperTree::step_for(SimdLevel simd) noexcept {
  switch (simd) {
    case SimdLevel::avx512:
      return step_avx512;
    case SimdLevel::avx2:
      return step_avx2;
    case SimdLevel::scalar:
      break;
  }
  return step_scalar;
}

#else

UpperTree::Step UpperTree::step_for(SimdLevel) noexcept { return step_scalar; }

#endif

}  // namespace activemx
