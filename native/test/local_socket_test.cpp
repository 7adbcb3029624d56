// Local sockets over real socket pairs: octets in order past full buffers, the end, losses,
// threads.
#include "engine/local_socket.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "loopback.hpp"

namespace activemx::test {
namespace {

using Octets = std::vector<std::uint8_t>;

// Two connected sockets with small buffers, each on a descriptor of its own.
struct Pair {
  LocalSocket one;
  LocalSocket other;

  Pair() {
    std::array<int, 2> ends{};
    check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0, "pair");
    const int octets = 4096;
    for (const int end : ends) {
      check(::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &octets, sizeof octets) == 0, "buffer");
    }
    check(one.open(ends[0]) == 0 && other.open(ends[1]) == 0, "open");
    for (const int end : ends) ::close(end);
  }
};

void await(const LocalSocket& socket, int events) {
  pollfd waiting{socket.fd(), static_cast<short>(events), 0};
  check(::poll(&waiting, 1, 30'000) == 1, "nothing happens");
}

// Reads once where something is there. False: the connection is over.
bool read_once(LocalSocket& socket, Octets& got) {
  std::array<std::uint8_t, 3000> room{};
  const std::ptrdiff_t count = socket.receive(room);
  if (count > 0) got.insert(got.end(), room.begin(), room.begin() + count);
  return count >= 0;
}

void test_octets_pass_full_buffers_in_order() {
  Pair pair;
  Random random(seed());
  Octets sent;
  Octets got;
  while (sent.size() < 2'000'000 || got.size() < sent.size()) {
    if (sent.size() < 2'000'000 && random.chance(50)) {
      Octets more(random.below(20'000));
      for (std::uint8_t& octet : more) octet = static_cast<std::uint8_t>(random.next());
      sent.insert(sent.end(), more.begin(), more.end());
      const bool waits = pair.one.send(more) > 0;
      check(waits == pair.one.has_backlog(), "what waits is told");
    } else if (pair.one.has_backlog() && random.chance(50)) {
      check(pair.one.flush() != LocalSocket::Sent::lost, "flush");
    } else {
      check(read_once(pair.other, got), "receive");
    }
  }
  check(got == sent, "the same octets");
  check(!pair.one.has_backlog(), "nothing waits");
}

void test_nothing_there_is_not_the_end() {
  Pair pair;
  Octets got;
  check(read_once(pair.other, got) && got.empty(), "nothing yet");
  const Octets last{1, 2, 3};
  check(pair.one.send(last) == 0, "sent");
  pair.one.close();
  pair.one.close();
  check(!pair.one.is_open() && pair.one.send(last) == 0, "closed sends nothing");
  check(read_once(pair.other, got) && got == last, "what came before the end");
  check(!read_once(pair.other, got), "the end");
}

void test_a_lost_peer_is_told_without_a_signal() {
  std::signal(SIGPIPE, SIG_DFL);
  Pair pair;
  pair.other.close();
  check(pair.one.send(Octets(10)) == 10, "waits for a flush");
  check(pair.one.flush() == LocalSocket::Sent::lost, "lost");
}

void test_descriptors_are_its_own() {
  const std::size_t before = open_descriptors();
  {
    Pair pair;
    check(open_descriptors() == before + 2, "one each");
    check(pair.one.open(pair.other.fd()) == 0, "opened anew");
    check(open_descriptors() == before + 2, "the first one is closed");
  }
  check(open_descriptors() == before, "all closed");
  LocalSocket none;
  check(none.open(-1) == EBADF && !none.is_open(), "a descriptor that is none");
}

// What was taken stays as it is, whatever is read after it.
void test_an_arena_is_never_written_over() {
  Random random(seed());
  ReadArena arena;
  struct Piece {
    std::shared_ptr<Octets> memory;
    std::size_t start;
    Octets copy;
  };
  std::shared_ptr<Octets> memory;
  std::vector<Piece> pieces;
  check(arena.is_spent(), "a new one has no memory");
  for (int round = 0; round < 500; ++round) {
    if (arena.is_spent()) {
      memory = std::make_shared<Octets>(ReadArena::octets);
      arena.replace(memory->data());
    }
    const auto room = arena.room();
    check(room.size() >= ReadArena::spare, "room enough");
    const std::size_t count = 1 + random.below(room.size());
    Octets read(count);
    for (std::uint8_t& octet : read) octet = static_cast<std::uint8_t>(random.next());
    std::copy(read.begin(), read.end(), room.begin());
    pieces.push_back({memory, arena.used(), read});
    arena.take(count);
  }
  for (const Piece& piece : pieces) {
    const auto begin = piece.memory->begin() + static_cast<std::ptrdiff_t>(piece.start);
    check(std::equal(piece.copy.begin(), piece.copy.end(), begin), "as it was");
  }
}

// Each end has its thread, as application and daemon are two processes: they share nothing but the
// kernel's socket (to be run under the thread sanitizer).
void test_two_threads_exchange() {
  Pair pair;
  constexpr std::size_t rounds = 2000;
  constexpr std::size_t asked = 5000;
  std::thread answerer([&pair] {
    std::size_t heard = 0;
    Octets got;
    while (heard < rounds * asked) {
      await(pair.other, POLLIN);
      got.clear();
      check(read_once(pair.other, got), "asked");
      heard += got.size();
      while (pair.other.send(got) > 0) {
        got.clear();
        await(pair.other, POLLOUT);
        if (pair.other.flush() == LocalSocket::Sent::drained) break;
      }
    }
  });
  std::size_t heard = 0;
  Octets got;
  for (std::size_t round = 0; round < rounds; ++round) {
    pair.one.send(Octets(asked, static_cast<std::uint8_t>(round)));
    while (heard < (round + 1) * asked) {
      const bool waits = pair.one.has_backlog();
      await(pair.one, waits ? POLLIN | POLLOUT : POLLIN);
      if (waits) check(pair.one.flush() != LocalSocket::Sent::lost, "flush");
      got.clear();
      check(read_once(pair.one, got), "answered");
      for (const std::uint8_t octet : got) {
        check(octet == static_cast<std::uint8_t>(heard / asked), "in order");
        ++heard;
      }
    }
  }
  answerer.join();
}

}  // namespace
}  // namespace activemx::test

int main() {
  using namespace activemx::test;
  test_octets_pass_full_buffers_in_order();
  test_nothing_there_is_not_the_end();
  test_a_lost_peer_is_told_without_a_signal();
  test_descriptors_are_its_own();
  test_an_arena_is_never_written_over();
  test_two_threads_exchange();
  return 0;
}
