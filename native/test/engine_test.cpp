// The engine with real sockets: echo under random operations, backlogs, links, death of a worker.
#include "engine/engine.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "core/clock.hpp"
#include "engine/registry.hpp"
#include "loopback.hpp"
#include "segments.hpp"

namespace activemx::test {
namespace {

struct CountingLedger final : ClientLedger {
  std::atomic<int> released{0};
  void release(const IpAddress& /*address*/, bool /*is_counted*/) noexcept override {
    released.fetch_add(1);
  }
};

// Two ends of a connection over loopback.
struct Pair {
  int inner = -1;
  int outer = -1;

  Pair() {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* const plain = reinterpret_cast<sockaddr*>(&address);
    check(::bind(listener, plain, length) == 0 && ::listen(listener, 1) == 0 &&
              ::getsockname(listener, plain, &length) == 0,
          "listener");
    outer = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(::connect(outer, plain, length) == 0, "connect");
    inner = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    check(inner >= 0, "accept");
    ::close(listener);
  }
};

// An engine with one client that has spoken: the other end, the client's name, what was told of it.
struct Served {
  TestEngine made;
  std::shared_ptr<CountingLedger> ledger = std::make_shared<CountingLedger>();
  Pair pair;
  std::int32_t slot = -1;
  std::int32_t generation = 0;
  bool has_closed = false;

  Served() {
    check(made.engine->adopt(pair.inner, {}, ledger), "adopted");
    check(::send(pair.outer, "x", 1, 0) == 1, "first sign");
    turn();
  }

  void turn(int wait_ms = 1000) {
    const auto take = [this](const std::int32_t* event) {
      slot = event[1];
      generation = event[2];
      has_closed |= static_cast<EventKind>(event[0]) == EventKind::close;
    };
    made.turn(take, wait_ms);
  }

  void operate(OperationKind kind, std::int32_t first = 0, std::int32_t second = 0) {
    made.operate(kind, slot, generation, first, second);
  }

  // The whole output buffer.
  void send() {
    operate(OperationKind::send_output, 0, static_cast<std::int32_t>(made.output.size()));
  }

  void send(std::span<const std::uint8_t> octets) {
    made.backlogs[static_cast<std::size_t>(slot)] += static_cast<std::int32_t>(octets.size());
    made.engine->send({static_cast<std::uint32_t>(slot), static_cast<std::uint32_t>(generation)},
                      octets);
  }
};

void test_backlog() {
  Backlog backlog;
  Random random(seed());
  std::string expected;
  std::string got;
  char next = 'a';
  for (int round = 0; round < 2000; ++round) {
    std::string more(random.below(9000), next);
    next = next == 'z' ? 'a' : static_cast<char>(next + 1);
    check(backlog.append({reinterpret_cast<const std::uint8_t*>(more.data()), more.size()}),
          "append");
    expected += more;
    const auto view = backlog.view();
    const std::size_t count = random.below(view.size() + 1);
    got.append(reinterpret_cast<const char*>(view.data()), count);
    backlog.consume(count);
  }
  const auto view = backlog.view();
  got.append(reinterpret_cast<const char*>(view.data()), view.size());
  check(got == expected, "octets in order");
  backlog.clear();
  check(backlog.size() == 0, "empty");
}

// A megabyte each way through a reader that begins late: the backlog holds, nothing is lost.
void test_octets_survive_a_full_socket() {
  Served client;
  auto& output = client.made.output;
  std::size_t sent = 0;
  for (std::size_t at = 0; at < 6; ++at) {
    for (std::size_t octet = 0; octet < output.size(); ++octet) {
      output[octet] = static_cast<std::uint8_t>((sent + octet) % 251);
    }
    client.send();
    client.operate(OperationKind::await_drain);
    sent += output.size();
    client.turn(0);
  }
  client.operate(OperationKind::close);
  std::thread reader([&] {
    std::vector<std::uint8_t> block(50'000);
    std::size_t got = 0;
    for (ssize_t count = 1; count > 0;) {
      count = ::recv(client.pair.outer, block.data(), block.size(), 0);
      for (ssize_t at = 0; at < count; ++at, ++got) {
        check(block[static_cast<std::size_t>(at)] == got % 251, "octet in its place");
      }
    }
    check(got == sent, "every octet");
    ::close(client.pair.outer);
  });
  while (!client.has_closed) client.turn();
  reader.join();
  check(client.ledger->released.load() == 1, "the place is given back once");
  check(client.made.engine->connections() == 0 && client.made.engine->clients() == 0,
        "nobody left");
  client.made.turn([](const std::int32_t*) {}, 0);
  check(client.made.backlogs[static_cast<std::size_t>(client.slot)] == 0,
        "the count of the slot is clean");
}

// A backlog that nobody bounds ends the connection, not the memory.
void test_a_backlog_above_its_maximum_resets() {
  const std::vector<std::uint8_t> block(1 << 20);
  for (const bool is_own : {false, true}) {
    Served client;
    for (int at = 0; at < 40 && !client.has_closed; ++at) {
      if (is_own) {
        client.send(block);
      } else {
        client.send();
      }
      client.turn(0);
    }
    check(client.has_closed, "closed");
    ::close(client.pair.outer);
  }
}

// Octets of the caller's memory stand behind what was sent before, and are its own again at once.
void test_octets_of_own_memory() {
  Served client;
  std::vector<std::uint8_t> block(900'000);
  std::string expected;
  for (const char mark : {'a', 'b', 'c', 'd', 'e', 'f'}) {
    client.made.output[0] = static_cast<std::uint8_t>(mark);
    client.operate(OperationKind::send_output, 0, 1);
    client.turn(0);
    std::fill(block.begin(), block.end(), static_cast<std::uint8_t>(mark));
    client.send(block);
    expected.append(block.size() + 1, mark);
  }
  std::fill(block.begin(), block.end(), std::uint8_t{'!'});
  client.operate(OperationKind::close);
  std::string got;
  std::thread reader([&] {
    char part[50'000];
    for (ssize_t count; (count = ::recv(client.pair.outer, part, sizeof part, 0)) > 0;) {
      got.append(part, static_cast<std::size_t>(count));
    }
    ::close(client.pair.outer);
  });
  while (!client.has_closed) client.turn();
  reader.join();
  check(got == expected, "octets in order");
  client.send(block);  // a dead name: nothing
  client.made.turn([](const std::int32_t*) {}, 0);
  check(client.made.backlogs[static_cast<std::size_t>(client.slot)] == 0, "the count is clean");
}

// A client that has said that nothing more comes is closed without waiting for its end, unless
// something of it lies unread.
void test_a_client_that_is_done() {
  for (const bool is_unread : {false, true}) {
    Served client;
    client.operate(OperationKind::pause);
    client.turn(0);
    if (is_unread) check(::send(client.pair.outer, "y", 1, 0) == 1, "more");
    client.operate(OperationKind::send_output, 0, 3);
    client.operate(OperationKind::close, 1);
    for (int round = 0; round < 3; ++round) client.turn(0);
    check(client.has_closed != is_unread, "closed at once where nothing lies unread");
    char octets[8];
    check(::recv(client.pair.outer, octets, sizeof octets, 0) == 3, "the last words");
    check(::recv(client.pair.outer, octets, sizeof octets, 0) == 0, "the end");
    if (!is_unread) check(segments_in(client.pair.outer) == 3, "SYN-ACK, ACK, last words with end");
    ::close(client.pair.outer);
    while (!client.has_closed) client.turn();
    check(client.ledger->released.load() == 1, "the place is given back once");
  }
}

// Random operations on random connections, dead names among them: nothing is lost or told twice.
void test_random_operations() {
  TestEngine made;
  auto ledger = std::make_shared<CountingLedger>();
  Random random(seed() + 1);
  std::vector<int> outers;
  std::map<std::pair<std::int32_t, std::int32_t>, int> closes;
  std::vector<std::pair<std::int32_t, std::int32_t>> names;
  int adopted = 0;
  for (int round = 0; round < 1500; ++round) {
    if (random.chance(30) && outers.size() < 40) {
      const Pair pair;
      check(made.engine->adopt(pair.inner, {}, ledger), "adopted");
      ++adopted;
      outers.push_back(pair.outer);
    }
    if (!outers.empty()) {
      const std::size_t at = random.below(outers.size());
      if (random.chance(20)) {
        ::close(outers[at]);
        outers.erase(outers.begin() + static_cast<std::ptrdiff_t>(at));
      } else if (random.chance(10)) {
        ::shutdown(outers[at], SHUT_WR);
      } else {
        ::send(outers[at], "0123456789", 10, MSG_NOSIGNAL | MSG_DONTWAIT);
      }
    }
    made.turn(
        [&](const std::int32_t* event) {
          const auto kind = static_cast<EventKind>(event[0]);
          const std::pair name{event[1], event[2]};
          check(closes[name] == 0, "nothing comes after close");
          if (kind == EventKind::close) ++closes[name];
          if (kind == EventKind::open) names.push_back(name);
          if (kind == EventKind::data && random.chance(80)) {
            made.operate(OperationKind::forward_input, event[1], event[2], event[3], event[4]);
          }
        },
        0);
    for (int more = 0; more < 3 && !names.empty(); ++more) {
      const auto [slot, generation] = names[random.below(names.size())];
      const auto kind = static_cast<OperationKind>(random.below(8));
      const auto first = static_cast<std::int32_t>(random.below(3000));
      made.operate(kind, slot, generation, first, first);
    }
  }
  for (const int fd : outers) ::close(fd);
  for (const auto& [slot, generation] : names) {
    made.operate(OperationKind::reset, slot, generation);
  }
  while (made.engine->connections() > 0) {
    made.turn([&](const std::int32_t* event) {
      made.operate(OperationKind::reset, event[1], event[2]);
    });
  }
  check(ledger->released.load() == adopted, "every place is given back once");
}

void test_links() {
  TestEngine made;
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const plain = reinterpret_cast<sockaddr*>(&address);
  check(::bind(listener, plain, length) == 0 && ::listen(listener, 5) == 0 &&
            ::getsockname(listener, plain, &length) == 0,
        "listener");
  const Endpoint to{IpAddress::from_ipv4(INADDR_LOOPBACK), ntohs(address.sin_port)};
  const SlotName link = made.engine->connect(to, 5000);
  std::vector<EventKind> told;
  const auto handle = [&](const std::int32_t* event) {
    told.push_back(static_cast<EventKind>(event[0]));
  };
  while (told.empty()) made.turn(handle);
  check(told.front() == EventKind::connected, "connected");
  std::size_t rest = 0;
  const int fd = made.engine->detach(link, rest);
  check(fd >= 0 && rest == 0, "detached");
  check(made.engine->detach(link, rest) == -1, "only once");
  made.engine->release_detached(link);
  ::close(fd);
  ::close(listener);
  told.clear();
  const SlotName refused = made.engine->connect(to, 5000);
  check(refused.slot != Slab::none, "named");
  while (told.empty()) made.turn(handle);
  check(told.front() == EventKind::close, "refused");
}

// A gate's thread adopts while the worker dies: what was taken is closed, what was not stays ours.
void test_death_during_adoption() {
  const std::size_t before = open_descriptors();
  for (int round = 0; round < 30; ++round) {
    auto made = std::make_unique<TestEngine>();
    auto ledger = std::make_shared<CountingLedger>();
    const std::shared_ptr<Engine> engine = made->engine;
    std::vector<Pair> pairs(20);
    std::atomic<int> adopted{0};
    std::thread gate([&] {
      for (const Pair& pair : pairs) {
        if (engine->adopt(pair.inner, {}, ledger)) {
          adopted.fetch_add(1);
        } else {
          ::close(pair.inner);
        }
      }
    });
    while (adopted.load() < round % 20) std::this_thread::yield();
    made.reset();
    gate.join();
    for (const Pair& pair : pairs) ::close(pair.outer);
    check(ledger->released.load() == adopted.load(), "every place is given back");
    check(engine->clients() == 0, "no client counted");
  }
  check(open_descriptors() == before, "no descriptor is left");
}

// Lines cut anywhere pass whole and in order; the end of data is told, with the count of them.
void test_pass() {
  TestEngine made;
  auto ledger = std::make_shared<CountingLedger>();
  Pair source;
  Pair target;
  SlotName names[2];
  for (std::size_t at = 0; at < 2; ++at) {
    const Pair& pair = at == 0 ? source : target;
    check(made.engine->adopt(pair.inner, {}, ledger), "adopted");
    check(::send(pair.outer, "x", 1, 0) == 1, "first sign");
    made.turn([&](const std::int32_t* event) {
      names[at] = {static_cast<std::uint32_t>(event[1]), static_cast<std::uint32_t>(event[2])};
    });
  }
  made.engine->pass(names[0], names[1], 0, UINT64_MAX);

  Random random(seed());
  std::string sent;
  for (int line = 0; line < 3000; ++line) {
    sent += random.below(3) == 0 ? ".." : "";
    sent += std::string(random.below(90), 'a') + "b\r\n";
  }
  double passed = 0;
  std::string told;
  const auto take = [&](const std::int32_t* event) {
    const auto* const at = made.input.data() + event[3];
    if (static_cast<EventKind>(event[0]) == EventKind::passed) {
      PassRecord record;
      std::memcpy(&record, at, sizeof record);
      check(told.empty(), "before what is told");
      passed += record.octets;
    }
    if (static_cast<EventKind>(event[0]) == EventKind::data) {
      told.append(reinterpret_cast<const char*>(at), static_cast<std::size_t>(event[4]));
    }
  };
  std::string got;
  const auto hear = [&] {
    char block[65'536];
    for (ssize_t count; (count = ::recv(target.outer, block, sizeof block, MSG_DONTWAIT)) > 0;) {
      got.append(block, static_cast<std::size_t>(count));
    }
  };
  for (std::size_t at = 0; at < sent.size();) {
    const std::size_t count = std::min(sent.size() - at, 1 + random.below(2000));
    check(::send(source.outer, sent.data() + at, count, 0) > 0, "send");
    at += count;
    made.turn(take);
    hear();
  }
  while (got.size() < sent.size()) {
    made.turn(take, 10);
    hear();
  }
  check(::send(source.outer, ".\r\n", 3, 0) == 3, "send");
  while (told.empty()) made.turn(take);
  check(got == sent && told == ".\r\n", "octets in order");
  check(passed == static_cast<double>(sent.size()), "octets counted");
  ::close(source.outer);
  ::close(target.outer);
}

// Accept is told as an age, by the clock that nobody sets: each thread counts from its own start.
void test_silence_counts_from_accept() {
  TestEngine made;
  const auto ledger = std::make_shared<CountingLedger>();
  Pair old_pair;
  Pair new_pair;
  Client client;
  client.peer.port = 1;
  client.accepted_at_ms = coarse_monotonic_ms() - 61'000;
  check(made.engine->adopt(old_pair.inner, client, ledger), "adopted");
  client.peer.port = 2;
  client.accepted_at_ms = coarse_monotonic_ms();
  check(made.engine->adopt(new_pair.inner, client, ledger), "adopted");
  made.engine->set_client_deadline(60'000);
  std::vector<PeerRecord> told;
  const auto take = [&](const std::int32_t* event) {
    if (static_cast<EventKind>(event[0]) != EventKind::open) return;
    std::memcpy(&told.emplace_back(), made.input.data() + event[3], sizeof(PeerRecord));
  };
  while (told.empty()) made.turn(take);
  check(told.size() == 1 && told.front().port == 1, "the one that has been silent for too long");
  check(told.front().waited_ms >= 61'000 && told.front().waited_ms < 600'000, "its age");
  ::close(old_pair.outer);
  ::close(new_pair.outer);
}

int run() {
  const std::size_t before = open_descriptors();
  test_backlog();
  test_octets_survive_a_full_socket();
  test_a_backlog_above_its_maximum_resets();
  test_octets_of_own_memory();
  test_a_client_that_is_done();
  test_random_operations();
  test_links();
  test_death_during_adoption();
  test_pass();
  test_silence_counts_from_accept();
  check(open_descriptors() == before, "no descriptor is left");
  return 0;
}

}  // namespace
}  // namespace activemx::test

int main() { return activemx::test::run(); }
