// Threads read while others swap and enter: no answer that no published table gives, nothing read
// after it was freed. Made for the thread and address sanitizers.
#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "checks.hpp"
#include "core/shared_table.hpp"
#include "table_oracle.hpp"

namespace activemx::test {
namespace {

constexpr std::uint32_t always_listed = 0x0a00'0007;   // in both images
constexpr std::uint32_t odd_listed = 0x0a01'0007;      // in every other one
constexpr std::uint32_t never_listed = 0x0a02'0007;
constexpr std::uint32_t entered_always = 0x0b00'0007;  // entered once, stays through all swaps
constexpr std::uint32_t entered_and_taken = 0x0b01'0007;
constexpr std::uint32_t always_excluded = 0x0c00'0007;    // in both images; renewed all the time
constexpr Key6 always_listed6 = Key6{0x2001'0db8'0000'0000ULL} << 64 | 7;
constexpr int swaps = 30;
constexpr int changes = 1000;

OracleEntry entry4(std::uint32_t address, unsigned length, ListId list) {
  return {mapped(address) & mask_of<Key6>(96 + length), 96 + length, list, false, true};
}

// Some thousand prefixes, so that swaps and frees take their time.
CompiledTable compile_image(bool is_odd) {
  TableOracle oracle;
  oracle.compiled.push_back(entry4(always_listed, is_odd ? 32 : 24, is_odd ? 1 : 0));
  oracle.compiled.push_back(entry4(always_excluded, 32, 0));
  oracle.compiled.push_back({always_listed6 & mask_of<Key6>(64), 64, 0, false, false});
  if (is_odd) oracle.compiled.push_back(entry4(odd_listed, 32, 2));
  for (std::uint32_t i = 0; i < 3000; ++i) {
    const auto list = static_cast<ListId>(i % 3);
    oracle.compiled.push_back(entry4(0x1400'0000U + i * 0x155U, 24 + i % 9, list));
  }
  OwnedColumns v4;
  OwnedColumns v6;
  TableError error = TableError::none;
  return CompiledTable(compile(oracle.rules(v4, v6, 3), error));
}

void read(const std::shared_ptr<SharedTable>& table, const std::atomic<bool>& is_over) {
  TableReader reader(table);
  const std::array<std::uint32_t, 5> addresses{always_listed, odd_listed, never_listed,
                                               entered_always, entered_and_taken};
  std::array<VerdictClass, 5> classes{};
  while (!is_over.load()) {
    check(reader.lookup4(always_listed) != 0, "listed in both images, so at any time");
    check(reader.lookup4(never_listed) == 0, "listed in neither");
    check(reader.lookup4(always_excluded) == 0, "an exclusion holds while it is renewed");
    check(reader.lookup4(entered_always) != 0, "entered, so it outlives every swap");
    check(reader.lookup6(0x2001'0db8'0000'0000ULL, 7) != 0, "listed in both images");
    reader.lookup_many4(addresses, classes.data());
    check(classes[0] != 0 && classes[2] == 0 && classes[3] != 0, "batches too");
    const Match match = reader.match(mapped(always_listed));
    check(match.verdict_class != 0 && (match.length == 120 || match.length == 128),
          "class and prefix of one image");
    const auto origins = reader.origins(mapped(always_listed));
    check(origins.size() == 1 && origins[0].length - 120 == origins[0].list * 8, "one image");
    const ListSet lists = table->classes().lists_of(reader.lookup4(odd_listed));
    check(lists.empty() || lists == ListSet{2}, "the odd image or none");
  }
}

// As JavaScript does: the structure is held, read without a pin, and taken anew after a swap.
void read_held(const std::shared_ptr<SharedTable>& table, const std::atomic<bool>& is_over) {
  const HeldImage4 first = table->hold_image4();
  HeldImage4 held = first;
  while (!is_over.load()) {
    if (table->signals().publication() != held.publication) held = table->hold_image4();
    check(held.meanings[held.image->lookup(always_listed)] != 0, "listed in every image");
    check(held.meanings[held.image->lookup(never_listed)] == 0, "listed in none");
    check(table->signals().is_entered_near(entered_always), "entered, so it is asked for");
    check(!table->signals().is_entered_near(always_listed), "nothing is entered there");
    check(first.meanings[first.image->lookup(odd_listed)] == 0, "the first image stays as it was");
  }
}

// Of one list, of all, and by a wider prefix: each takes away what the others have entered within.
TableError exclude(SharedTable& table, int round) {
  const auto length = static_cast<std::uint8_t>(round % 3 == 0 ? 120 : 128);
  const auto list = round % 2 == 0 ? std::optional<std::string_view>("list0") : std::nullopt;
  return table.remove(mapped(always_excluded), length, true, list, 60'000);
}

void enter_and_take(SharedTable& table) {
  for (int i = 0; i < changes; ++i) {
    const Key6 start = mapped(entered_and_taken + static_cast<std::uint32_t>(i % 50) * 256);
    check(table.add(start, 128, true, "dynamic", 60'000) == TableError::none, "adds");
    TableReader reader{std::shared_ptr<SharedTable>(&table, [](SharedTable*) {})};
    check(reader.lookup4(static_cast<std::uint32_t>(start)) != 0, "held at once");
    check(table.remove(start, 128, true, std::nullopt, 60'000) == TableError::none, "removes");
    check(reader.lookup4(static_cast<std::uint32_t>(start)) == 0, "not held at once");
    check(exclude(table, i) == TableError::none, "excludes");
  }
}

}  // namespace
}  // namespace activemx::test

int main() {
  using namespace activemx;
  using namespace activemx::test;
  auto table = std::make_shared<SharedTable>();
  check(table->publish(compile_image(false)) == TableError::none, "publishes");
  check(table->add(mapped(entered_always), 128, true, "dynamic", -1) == TableError::none, "adds");
  check(exclude(*table, 0) == TableError::none, "excludes");
  std::atomic<bool> is_over{false};
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) readers.emplace_back([&] { read(table, is_over); });
  readers.emplace_back([&] { read_held(table, is_over); });
  std::thread changer([&] { enter_and_take(*table); });
  for (int i = 1; i <= swaps; ++i) {
    check(table->publish(compile_image(i % 2 == 1)) == TableError::none, "publishes");
  }
  changer.join();
  is_over = true;
  for (std::thread& reader : readers) reader.join();
  return 0;
}
