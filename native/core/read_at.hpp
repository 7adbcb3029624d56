// Reading a stretch of a file whole.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace activemx {

// False at the end of the file, or for an error: errno says which. Blocks. Any thread.
[[nodiscard]] inline bool read_at(int fd, std::uint64_t offset, void* into, std::size_t octets) {
  auto* to = static_cast<std::byte*>(into);
  while (octets > 0) {
    const ssize_t got = ::pread(fd, to, octets, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to += got;
    offset += static_cast<std::uint64_t>(got);
    octets -= static_cast<std::size_t>(got);
  }
  return true;
}

}  // namespace activemx
