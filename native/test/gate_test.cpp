// The gate with real sockets: lists, tarpit, headers, floods, no descriptors, workers that die.
#include "gate/gate.hpp"

#include <sys/resource.h>

#include <fcntl.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdlib>
#include <ctime>
#include <thread>
#include <vector>

#include "core/table_registry.hpp"
#include "loopback.hpp"
#include "segments.hpp"

namespace activemx::test {
namespace {

constexpr GateLimits gate_limits{4096, 1024, 4096, 1000, 20, 1024};
constexpr std::string_view greeting = "220 ready\r\n";

struct Table {
  std::shared_ptr<SharedTable> table = std::make_shared<SharedTable>();
  std::uint32_t handle = register_shared_table(table);

  void add(const char* address, unsigned bits) const {
    IpAddress start;
    check(read_address(address, start), "prefix");
    const Key6 key = static_cast<Key6>(start.high) << 64 | start.low;
    const auto length = static_cast<std::uint8_t>(start.is_ipv4() ? 96 + bits : bits);
    check(table->add(key, length, start.is_ipv4(), "list", -1) == TableError::none, "add");
  }
  ~Table() { forget_shared_table(handle); }
};

std::shared_ptr<Policy> open_policy() {
  auto policy = std::make_shared<Policy>();
  policy->greeting = greeting;
  policy->limit_reply = ReplyTemplate("421 4.7.0 often {id}\r\n");
  policy->overload_reply = ReplyTemplate("421 4.3.2 busy {id}\r\n");
  policy->stopping_reply = ReplyTemplate("421 4.3.2 stopping {id}\r\n");
  policy->early_talker_reply = ReplyTemplate("554 5.5.1 early {id}\r\n");
  policy->connections_max = 10'000;
  policy->sessions_per_worker_max = 10'000;
  policy->tarpit_max = 10;
  policy->limits.rate_window_ms = 60'000;
  policy->rules.push_back({RuleAction::refuse, ReplyTemplate("554 [{address}] {id}\r\n")});
  return policy;
}

std::shared_ptr<Policy> policy_that_lists(const Table& table) {
  auto policy = open_policy();
  policy->blacklist = table.handle;
  return policy;
}

struct World {
  std::unique_ptr<Gate> gate;
  std::uint16_t port = 0;

  explicit World(std::shared_ptr<const Policy> policy) {
    int fault = 0;
    gate = Gate::create(gate_limits, fault);
    check(gate != nullptr, "gate stands");
    Endpoint at;
    check(read_address("127.0.0.1", at.address), "address");
    check(gate->listen(at, port) == 0, "listens");
    gate->configure(std::move(policy));
  }

  [[nodiscard]] std::uint64_t counter(Counter name) const {
    return gate->counters()[static_cast<std::size_t>(name)];
  }
  void until(Counter name, std::uint64_t value) const {
    while (counter(name) != value) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
};

void test_refusals_carry_their_id() {
  const Table listed;
  listed.add("127.0.1.0", 24);
  const World world(policy_that_lists(listed));
  const std::string reply = TestClient(world.port, "127.0.1.7").rest();
  check(reply.starts_with("554 [127.0.1.7] "), "the reply names the address");
  std::vector<RefusalEntry> taken(10);
  check(world.gate->take_refusals(taken) == 1, "one refusal");
  char id[refusal_id_octets];
  taken[0].id.write(id);
  check(reply.find(std::string_view(id, sizeof id)) != std::string::npos, "the id of the entry");
  check(world.gate->take_refusals(taken) == 0, "taken once");
  world.until(Counter::connections, 0);
}

// Reply and end in one segment; of a greeted client no segment is answered but by a reply.
void test_no_segment_too_many() {
  const Table listed;
  listed.add("127.0.1.0", 24);
  const World world(policy_that_lists(listed));
  const TestClient refused(world.port, "127.0.1.7");
  check(refused.rest().starts_with("554 "), "refused");
  check(segments_in(refused.fd()) == 2, "SYN-ACK, reply with end");
  const EchoWorker worker;
  world.gate->add_worker(worker.token());
  const TestClient passed(world.port);
  check(passed.until("\r\n") == greeting, "greeted");
  passed.send("HELO");
  check(passed.until("HELO") == "HELO", "echo");
  check(segments_in(passed.fd()) == 3, "SYN-ACK, greeting, echo");
}

// Who talks before his refusal gets it whole, though his octets turn the end into a reset.
void test_refusal_of_one_who_talks() {
  const Table listed;
  listed.add("127.0.1.0", 24);
  const Table balancers;
  balancers.add("127.0.1.0", 24);
  auto policy = policy_that_lists(listed);
  policy->proxy_protocol_from = balancers.handle;
  const World world(policy);
  for (const std::size_t octets : {1U, 4096U, 4097U, 60'000U}) {
    const TestClient talker(world.port, "127.0.1.7");
    talker.send("PROXY TCP4 127.0.1.9 127.0.0.1 1 25\r\n" + std::string(octets, 'x'));
    check(talker.rest().starts_with("554 [127.0.1.9]"), "the reply comes first");
  }
}

// His octets come before the refusal, between its reply and the end, or after both.
void test_refusal_of_one_who_talks_at_any_moment() {
  const Table listed;
  listed.add("127.0.1.0", 24);
  const World world(policy_that_lists(listed));
  for (int round = 0; round < 5000; ++round) {
    const TestClient talker(world.port, "127.0.1.7");
    const auto moment = std::chrono::nanoseconds(std::rand() % 30'000);
    const auto then = std::chrono::steady_clock::now() + moment;
    while (std::chrono::steady_clock::now() < then) continue;
    talker.send("EHLO a.example\r\n");
    check(talker.rest().starts_with("554 [127.0.1.7]"), "the reply comes first");
  }
}

void test_counts_pass_32_bits() {
  GateCounters counters;
  counters.add(Counter::dropped, UINT32_MAX);
  counters.add(Counter::dropped);
  check(counters.values()[static_cast<std::size_t>(Counter::dropped)] == std::uint64_t{1} << 32,
        "goes on");
}

void test_full_ring_is_counted() {
  RefusalRing ring(3);
  for (int at = 0; at < 3; ++at) check(ring.push({}), "room");
  check(!ring.push({}), "full");
  std::vector<RefusalEntry> taken(2);
  check(ring.take(taken) == 2 && ring.push({}) && ring.push({}) && !ring.push({}), "goes round");
}

void test_tarpit_and_headers_and_early_talk() {
  const Table listed;
  listed.add("127.0.1.0", 24);
  const Table balancers;
  balancers.add("127.0.2.0", 24);
  auto policy = policy_that_lists(listed);
  policy->proxy_protocol_from = balancers.handle;
  policy->rules[0] = {RuleAction::tarpit, ReplyTemplate("55\r\n")};
  policy->greet_delay_ms = 50;
  policy->early_talker = EarlyTalkerMode::enforce;
  World world(policy);
  const EchoWorker worker;
  world.gate->add_worker(worker.token());
  check(TestClient(world.port, "127.0.1.1").rest() == "55\r\n", "tarpit ends with its reply");
  TestClient leaver(world.port, "127.0.1.1");
  leaver.reset();
  const TestClient talker(world.port);
  talker.send("EHLO early\r\n");
  check(talker.rest().starts_with("554 5.5.1 early"), "early talker");
  const TestClient proxied(world.port, "127.0.2.1");
  proxied.send("PROXY TCP4 127.0.1.9 127.0.0.1 1");
  proxied.send("00 25\r\n");
  check(proxied.rest() == "55\r\n", "the header's client is judged");
  const TestClient stalled(world.port, "127.0.2.1");
  check(stalled.rest().empty(), "a header that never comes");
  const TestClient quiet(world.port);
  check(quiet.until("\r\n") == greeting, "greeted after the delay");
  quiet.send("hello");
  check(quiet.until("hello") == "hello", "echo");
  quiet.finish();
  check(quiet.rest().empty(), "ends");
  world.until(Counter::tarpits, 0);
}

// A connection begun and left: on loopback the handshake is done inside connect.
void knock(std::uint16_t port, std::uint32_t from) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_storage address;
  socklen_t length = fill_sockaddr({IpAddress::from_ipv4(from), 0}, address);
  check(::bind(fd, reinterpret_cast<sockaddr*>(&address), length) == 0, "bind");
  length = fill_sockaddr({IpAddress::from_ipv4(0x7f000001), port}, address);
  ::connect(fd, reinterpret_cast<sockaddr*>(&address), length);
  ::close(fd);
}

void test_a_flood_is_dropped_below_accept_and_its_neighbour_is_not() {
  const Table listed;
  listed.add("127.0.1.0", 24);
  listed.add("127.0.2.5", 32);
  auto policy = policy_that_lists(listed);
  policy->rules[0] = {RuleAction::drop, {}};
  World world(policy);
  const EchoWorker worker;
  world.gate->add_worker(worker.token());
  while (world.counter(Counter::filtered_blocks) < 2) {
    for (int host = 1; host < 40; ++host) {
      knock(world.port, 0x7f000100U + static_cast<std::uint32_t>(host));
      knock(world.port, 0x7f000205U);
    }
  }
  // A dropped handshake stays under way. The port is none of the sample's.
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  Endpoint from;
  check(read_address("127.0.1.200", from.address), "address");
  sockaddr_storage address;
  socklen_t length = 0;
  do {
    from.port = static_cast<std::uint16_t>(20'001 + from.port % 1000);
    if (from.port % FloodFilter::sample == 0) ++from.port;
    length = fill_sockaddr(from, address);
  } while (::bind(fd, reinterpret_cast<sockaddr*>(&address), length) != 0);
  Endpoint to{IpAddress::from_ipv4(0x7f000001), world.port};
  length = fill_sockaddr(to, address);
  check(::connect(fd, reinterpret_cast<sockaddr*>(&address), length) != 0, "under way");
  const TestClient neighbour(world.port, "127.0.2.6");
  check(neighbour.until("\r\n") == greeting, "the neighbour is greeted");
  pollfd writable{fd, POLLOUT, 0};
  check(::poll(&writable, 1, 0) == 0, "the dropped client still waits");
  ::close(fd);
  check(world.counter(Counter::dropped) >= 32, "dropped ones are counted");
}

// All of them have the balancer's address below accept: each is dropped by the gate itself.
void test_a_flood_behind_a_balancer_enters_no_filter() {
  const Table listed;
  listed.add("203.0.113.0", 24);
  const Table balancers;
  balancers.add("127.0.3.1", 32);
  auto policy = policy_that_lists(listed);
  policy->proxy_protocol_from = balancers.handle;
  policy->rules[0] = {RuleAction::drop, {}};
  World world(policy);
  const EchoWorker worker;
  world.gate->add_worker(worker.token());
  constexpr std::uint32_t clients = 2 * FloodFilter::entry_clients;
  const auto flood = [&] {
    for (std::uint32_t at = 0; at < clients; ++at) {
      TestClient client(world.port, "127.0.3.1");
      client.send("PROXY TCP4 203.0.113.9 192.0.2.1 4000 25\r\n");
      check(client.rest().empty(), "dropped without a word");
    }
  };
  flood();
  // The filter is revised once a second: one beyond it, had the flood been noted.
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  flood();
  check(world.counter(Counter::filtered_blocks) == 0, "no block");
  check(world.counter(Counter::dropped) == 2 * clients, "each stands for itself");
}

void test_filter_leaves_when_the_lists_change() {
  FloodFilter filter;
  bool is_listed = true;
  const FloodFilter::IsDropped is_dropped = [&](const IpAddress&) { return is_listed; };
  for (std::uint32_t at = 0; at < FloodFilter::entry_clients; ++at) {
    check(filter.note(IpAddress::from_ipv4(0x0a000000 + at), 0) == 1, "stands for itself");
    check(filter.note({0x2001'0db8'0000'0000, 1}, 0) == 1, "IPv6 too");
  }
  check(filter.revise(1000, is_dropped) && filter.blocks() == 2, "a /24 and an address");
  check(!filter.program(true).empty() && !filter.program(false).empty(), "both families");
  check(filter.note(IpAddress::from_ipv4(0x0a0000ff), 1500) == FloodFilter::sample, "a sample");
  check(!filter.revise(2000, is_dropped), "nothing new");
  check(filter.revise(1000 + FloodFilter::quiet_ms, is_dropped) && filter.blocks() == 1,
        "the quiet one leaves");
  is_listed = false;
  check(filter.revise(1001 + FloodFilter::quiet_ms, is_dropped) && filter.blocks() == 0,
        "what is no longer listed leaves");
  check(filter.program(true).empty() && filter.program(false).empty(), "no filter");
}

void test_without_descriptors_a_client_is_told_so() {
  World world(open_policy());
  const EchoWorker worker;
  world.gate->add_worker(worker.token());
  const TestClient first(world.port);
  check(first.until("\r\n") == greeting, "greeted");
  // One descriptor is left: the client's own. The lowest of many tries, since accept4 of the gate
  // holds one for an instant, also where it finds nobody to accept.
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  int last = INT_MAX;
  for (int tries = 0; tries < 100; ++tries) {
    const int lowest = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    last = std::min(last, lowest);
    ::close(lowest);
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  const rlimit tight{static_cast<rlim_t>(last) + 1, before.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &tight);
  const std::string told = TestClient(world.port).rest();
  ::setrlimit(RLIMIT_NOFILE, &before);
  check(told.starts_with("421 4.3.2"), "told");
  const TestClient later(world.port);
  check(later.until("\r\n") == greeting, "served again");
}

// For the length of a test.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(rlim_t limit) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit tight{limit, before_.rlim_max};
    check(::setrlimit(RLIMIT_NOFILE, &tight) == 0, "limit");
  }
  ~DescriptorLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;

 private:
  rlimit before_{};
};

// An eighth of a small limit stays for mailhosts, store and log, however many clients come.
void test_clients_leave_descriptors_for_others() {
  const DescriptorLimit limit(400);
  World world(open_policy());
  const EchoWorker worker;
  world.gate->add_worker(worker.token());
  std::vector<std::unique_ptr<TestClient>> crowd;
  std::string told;
  do {
    crowd.push_back(std::make_unique<TestClient>(world.port));
    told = crowd.back()->until("\r\n");
  } while (told == greeting);
  check(told.starts_with("421 4.3.2"), "told");
  for (int each = 0; each < 40; ++each) {
    const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    check(fd >= 0, "a descriptor for others");
    ::close(fd);
  }
  crowd.clear();
  world.until(Counter::connections, 0);
  check(TestClient(world.port).until("\r\n") == greeting, "served again");
}

// Without even a spare descriptor the gate waits instead of spinning, and goes on afterwards.
void test_a_starved_gate_rests() {
  World world(open_policy());
  const EchoWorker worker;
  world.gate->add_worker(worker.token());
  const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_storage address;
  const socklen_t length = fill_sockaddr({IpAddress::from_ipv4(0x7f000001), world.port}, address);
  {
    const DescriptorLimit limit(3);
    check(::connect(client, reinterpret_cast<sockaddr*>(&address), length) == 0, "connect");
    const std::clock_t before = std::clock();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    check(std::clock() - before < CLOCKS_PER_SEC / 10, "processor time");
  }
  char octet = 0;
  check(::recv(client, &octet, 1, 0) == 1 && octet == greeting[0], "greeted");
  ::close(client);
}

// Everything at once from many threads: for the thread sanitizer.
void test_many_threads() {
  const Table listed;
  listed.add("127.0.1.0", 24);
  auto policy = policy_that_lists(listed);
  policy->limits.per_address_max = 1000;
  World world(policy);
  // Before the first client: without any worker all would be told 421 within milliseconds.
  const EchoWorker steady;
  world.gate->add_worker(steady.token());
  std::atomic<bool> is_over{false};
  std::atomic<int> served{0};
  std::vector<std::thread> threads;
  for (int client = 0; client < 4; ++client) {
    threads.emplace_back([&, client] {
      for (int round = 0; round < 60; ++round) {
        const char* const from = round % 4 == 0 ? "127.0.1.1" : "127.0.0.1";
        TestClient one(world.port, from);
        if (one.fd() < 0) continue;
        if (one.until("\r\n") == greeting) {
          one.send("echo");
          if (one.until("echo") == "echo") served.fetch_add(1);
        }
        if ((round + client) % 3 == 0) one.reset();
      }
    });
  }
  std::thread chief([&] {
    std::vector<RefusalEntry> taken(100);
    while (!is_over.load()) {
      const EchoWorker mortal;
      world.gate->add_worker(mortal.token());
      world.gate->configure(policy);
      world.gate->take_refusals(taken);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      world.gate->remove_worker(mortal.token());
    }
  });
  for (std::thread& thread : threads) thread.join();
  is_over.store(true);
  chief.join();
  check(served.load() > 0, "clients were served");
  world.until(Counter::connections, 0);
}

int run() {
  const std::size_t before = open_descriptors();
  test_refusals_carry_their_id();
  test_no_segment_too_many();
  test_refusal_of_one_who_talks();
  test_refusal_of_one_who_talks_at_any_moment();
  test_counts_pass_32_bits();
  test_full_ring_is_counted();
  test_tarpit_and_headers_and_early_talk();
  test_a_flood_is_dropped_below_accept_and_its_neighbour_is_not();
  test_a_flood_behind_a_balancer_enters_no_filter();
  test_filter_leaves_when_the_lists_change();
  test_without_descriptors_a_client_is_told_so();
  test_clients_leave_descriptors_for_others();
  test_a_starved_gate_rests();
  test_many_threads();
  check(open_descriptors() == before, "no descriptor is left");
  return 0;
}

}  // namespace
}  // namespace activemx::test

int main() { return activemx::test::run(); }
