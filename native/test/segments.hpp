// How many TCP segments an end has received: what a dialogue costs the network and both kernels.
#pragma once

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "checks.hpp"

namespace activemx::test {

// The answer to the SYN counts, and segments without data do.
inline unsigned segments_in(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  check(::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0, "TCP_INFO");
  return info.tcpi_segs_in;
}

}  // namespace activemx::test
