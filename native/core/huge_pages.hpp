// HugeVector: a vector whose memory, where it is large, asks the kernel for huge pages.
//
// A random lookup touches other pages at every step; with pages of 4 KiB it waits for the page
// table as well as for the memory, in a virtual machine twice (bench/lookup.ts). Where the kernel
// gives none, the memory is ordinary. Below one huge page nothing is asked for.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <vector>

namespace activemx {

inline constexpr std::size_t huge_page_octets = std::size_t{2} << 20;

template <class T>
struct HugePageAllocator {
  using value_type = T;

  HugePageAllocator() noexcept = default;
  template <class Other>
  explicit HugePageAllocator(const HugePageAllocator<Other>&) noexcept {}

  [[nodiscard]] T* allocate(std::size_t count) {
    const std::size_t octets = count * sizeof(T);
    const bool is_large = octets >= huge_page_octets;
    void* const memory =
        is_large ? std::aligned_alloc(huge_page_octets, rounded(octets)) : std::malloc(octets);
    if (memory == nullptr) std::abort();
    // Only whole huge pages: the rest of the last one would be filled for nothing.
    if (is_large) ::madvise(memory, octets & ~(huge_page_octets - 1), MADV_HUGEPAGE);
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t) noexcept { std::free(memory); }

  bool operator==(const HugePageAllocator&) const noexcept = default;

 private:
  [[nodiscard]] static std::size_t rounded(std::size_t octets) noexcept {
    return (octets + huge_page_octets - 1) & ~(huge_page_octets - 1);
  }
};

template <class T>
using HugeVector = std::vector<T, HugePageAllocator<T>>;

}  // namespace activemx
