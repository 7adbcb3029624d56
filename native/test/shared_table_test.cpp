// Random tables and random changes answer as the oracle does, by every way of asking.
#include "core/shared_table.hpp"

#include <algorithm>
#include <cstdio>
#include <iterator>

#include "checks.hpp"
#include "table_oracle.hpp"

namespace activemx::test {
namespace {

constexpr unsigned list_count = 7;

// Prefixes that crowd together, so that they nest, touch and repeat; sometimes the ends of the
// space.
OracleEntry random_entry(Random& random) {
  OracleEntry entry{};
  entry.is_ipv4 = random.chance(50);
  entry.list = static_cast<ListId>(random.below(list_count));
  entry.is_excluded = random.chance(15);
  if (entry.is_ipv4) {
    entry.length = 96 + static_cast<unsigned>(random.chance(70) ? 18 + random.below(15)
                                                                : random.below(33));
    std::uint32_t address = 0x0a0b'0000U | static_cast<std::uint32_t>(random.below(0x8000));
    if (random.chance(10)) address = random.chance(50) ? 0 : 0xffff'ffff;
    if (random.chance(10)) address = static_cast<std::uint32_t>(random.next());
    entry.start = mapped(address);
  } else {
    entry.length = static_cast<unsigned>(random.chance(70) ? 40 + random.below(89)
                                                           : random.below(129));
    Key6 address = Key6{0x2001'0db8'0000'0000ULL + random.below(64)} << 64;
    if (random.chance(50)) address |= random.below(512);
    if (random.chance(10)) address = random.chance(50) ? Key6{0} : ~Key6{0};
    if (random.chance(10)) address = static_cast<Key6>(random.next()) << 64 | random.next();
    entry.start = address;
    // Mapped space is IPv4's; no prefix of IPv6 lies in it.
    if (is_mapped(entry.start) && entry.length >= 96) entry.length = 95;
  }
  entry.start &= mask_of<Key6>(entry.length);
  return entry;
}

// Edges of an entry and of its neighbours, and anything.
Key6 random_address(Random& random, const std::vector<OracleEntry>& entries) {
  if (entries.empty() || random.chance(5)) {
    return random.chance(50) ? mapped(static_cast<std::uint32_t>(random.next()))
                             : static_cast<Key6>(random.next()) << 64 | random.next();
  }
  const OracleEntry& entry = entries[random.below(entries.size())];
  const Key6 last = entry.start | ~mask_of<Key6>(entry.length);
  const std::uint64_t which = random.below(5);
  if (which == 0) return entry.start - 1;
  if (which == 1) return last + 1;
  if (which == 2) return last;
  if (which == 3) return entry.start;
  return entry.start + (((static_cast<Key6>(random.next()) << 64) | random.next()) &
                        ~mask_of<Key6>(entry.length));
}

std::set<ListId> as_set(const ListSet& lists) { return {lists.begin(), lists.end()}; }

void check_address(SharedTable& table, TableReader& reader, const TableOracle& oracle,
                   Key6 address) {
  const auto wanted = oracle.lists_of(address);
  const auto high = static_cast<std::uint64_t>(address >> 64);
  const auto low = static_cast<std::uint64_t>(address);
  const VerdictClass found = reader.lookup6(high, low);
  check(as_set(table.classes().lists_of(found)) == wanted, "lookup6 names the oracle's lists");
  VerdictClass batch = 0;
  const Image6::Address halves{high, low};
  reader.lookup_many6({&halves, 1}, &batch);
  check(batch == found, "lookup_many6 as lookup6");
  const Match match = reader.match(address);
  check(match.verdict_class == found, "match as lookup6");
  const auto origins = reader.origins(address);
  std::set<ListId> named;
  for (const Origin& one : origins) named.insert(one.list);
  check(named == wanted, "origins name the oracle's lists");
  check(origins.empty() || origins.front().length == match.length, "match names the longest");
  if (!is_mapped(address)) return;
  const auto own = static_cast<std::uint32_t>(address);
  check(reader.lookup4(own) == found, "lookup4 as lookup6");
  reader.lookup_many4({&own, 1}, &batch);
  check(batch == found, "lookup_many4 as lookup4");
}

CompiledTable compile_oracle(const TableOracle& oracle) {
  OwnedColumns v4;
  OwnedColumns v6;
  TableError error = TableError::none;
  CompiledTable compiled(compile(oracle.rules(v4, v6, list_count), error));
  check(error == TableError::none, "compiles");
  return compiled;
}

void change(SharedTable& table, TableOracle& oracle, Random& random) {
  OracleEntry entry = random_entry(random);
  const auto length = static_cast<std::uint8_t>(entry.length);
  const std::string name = "list" + std::to_string(entry.list);
  entry.is_excluded = random.chance(40);
  if (!entry.is_excluded) {
    oracle.enter(entry, entry.list);
    check(table.add(entry.start, length, entry.is_ipv4, name, -1) == TableError::none, "adds");
    return;
  }
  const bool is_every = random.chance(50);
  const int list = is_every ? TableOracle::every_list : entry.list;
  oracle.drop_within(entry, list);
  oracle.enter(entry, list);
  const auto named = is_every ? std::nullopt : std::optional<std::string_view>(name);
  const TableError error = table.remove(entry.start, length, entry.is_ipv4, named, -1);
  check(error == TableError::none, "removes");
}

void check_random_table(Random& random) {
  SharedTable table;
  TableReader reader(std::shared_ptr<SharedTable>(&table, [](SharedTable*) {}));
  TableOracle oracle;
  // The names get their ids in the oracle's order.
  check(table.publish(compile_oracle(oracle)) == TableError::none, "publishes");
  std::vector<OracleEntry> asked;
  for (int round = 0; round < 4; ++round) {
    oracle.compiled.clear();
    const std::uint64_t count = random.below(120);
    std::generate_n(std::back_inserter(oracle.compiled), count,
                    [&] { return random_entry(random); });
    asked.insert(asked.end(), oracle.compiled.begin(), oracle.compiled.end());
    check(table.publish(compile_oracle(oracle)) == TableError::none, "publishes");
    for (int step = 0; step < 300; ++step) {
      if (round > 0 && random.chance(20)) change(table, oracle, random);
      check_address(table, reader, oracle, random_address(random, asked));
    }
  }
}

// Many addresses at once, across the blocks that are pinned together.
void check_batches(Random& random) {
  auto table = std::make_shared<SharedTable>();
  TableReader reader(table);
  TableOracle oracle;
  for (int i = 0; i < 500; ++i) oracle.compiled.push_back(random_entry(random));
  check(table->publish(compile_oracle(oracle)) == TableError::none, "publishes");
  std::vector<std::uint32_t> addresses(9001);
  std::vector<Image6::Address> halves(addresses.size());
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    const Key6 address = random_address(random, oracle.compiled);
    addresses[i] = static_cast<std::uint32_t>(address);
    halves[i] = {static_cast<std::uint64_t>(address >> 64), static_cast<std::uint64_t>(address)};
  }
  std::vector<VerdictClass> classes(addresses.size());
  reader.lookup_many4(addresses, classes.data());
  for (std::size_t i = 0; i < classes.size(); ++i) {
    check(classes[i] == reader.lookup4(addresses[i]), "lookup_many4 as lookup4");
  }
  reader.lookup_many6(halves, classes.data());
  for (std::size_t i = 0; i < classes.size(); ++i) {
    check(classes[i] == reader.lookup6(halves[i].high, halves[i].low), "lookup_many6 as lookup6");
  }
}

void check_reader_without_table() {
  TableReader reader;
  std::uint32_t address = 1;
  VerdictClass found = 1;
  reader.lookup_many4({&address, 1}, &found);
  check(found == 0 && reader.lookup4(1) == 0 && reader.lookup6(1, 1) == 0, "nothing is listed");
}

}  // namespace
}  // namespace activemx::test

int main() {
  using namespace activemx::test;
  Random random(seed());
  for (int table = 0; table < 12; ++table) check_random_table(random);
  check_batches(random);
  check_reader_without_table();
  return 0;
}
