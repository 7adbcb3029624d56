// Any sequence of builds, changes and questions: every answer is that of the oracle, which goes
// over all entries.
//
// Eight octets an operation: verb and family, length, list and flags, form, four of the address.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/shared_table.hpp"
#include "test/table_oracle.hpp"

namespace activemx::test {
namespace {

constexpr std::size_t operation_octets = 8;
constexpr std::size_t operations_max = 48;
constexpr unsigned list_count = 4;
// A build goes over 4 MiB whatever it holds; more of them would only make inputs slow.
constexpr int builds_max = 3;

void claim(bool holds) {
  if (!holds) std::abort();
}

// Most of an address is fixed, so that prefixes meet.
OracleEntry entry_of(const std::uint8_t* octets) {
  OracleEntry entry{};
  entry.is_ipv4 = (octets[0] & 0x80) != 0;
  entry.list = octets[2] % list_count;
  entry.is_excluded = (octets[2] & 0x80) != 0;
  std::uint32_t low = 0;
  for (int i = 4; i < 8; ++i) low = low << 8 | octets[i];
  if (entry.is_ipv4) {
    entry.length = 96 + octets[1] % 33U;
    entry.start = mapped(low);
  } else {
    entry.length = octets[1] % 129U;
    const Key6 upper = static_cast<Key6>(0x2001'0db8'0000'0000ULL | octets[4]) << 64;
    entry.start = octets[3] % 4 == 0 ? static_cast<Key6>(low) << (octets[3] / 2)
                                     : upper | (low & 0xff'ffffU);
    if (is_mapped(entry.start) && entry.length >= 96) entry.length = 95;
  }
  entry.start &= mask_of<Key6>(entry.length);
  return entry;
}

class Tables {
 public:
  Tables() : table_(std::make_shared<SharedTable>()), reader_(table_) { publish(); }

  void operate(const std::uint8_t* octets) {
    const OracleEntry entry = entry_of(octets);
    const unsigned verb = octets[0] & 7;
    if (verb < 3) {
      oracle_.compiled.push_back(entry);
      is_published_ = false;
    } else if (verb == 3) {
      enter(entry);
    } else if (verb == 4) {
      exclude(entry, (octets[2] & 0x40) != 0);
    } else if (!is_published_ && ++builds_ <= builds_max) {
      publish();
    }
    ask_around(entry);
  }

  void finish() {
    publish();
    for (const OracleEntry& entry : oracle_.compiled) ask_around(entry);
  }

 private:
  void publish() {
    OwnedColumns v4;
    OwnedColumns v6;
    TableError error = TableError::none;
    const auto image = compile(oracle_.rules(v4, v6, list_count), error);
    claim(error == TableError::none);
    claim(table_->publish(CompiledTable(image)) == TableError::none);
    is_published_ = true;
  }

  void enter(OracleEntry entry) {
    entry.is_excluded = false;
    oracle_.enter(entry, entry.list);
    claim(table_->add(entry.start, static_cast<std::uint8_t>(entry.length), entry.is_ipv4,
                      name_of(entry.list), -1) == TableError::none);
  }

  void exclude(OracleEntry entry, bool from_every_list) {
    entry.is_excluded = true;
    const int list = from_every_list ? TableOracle::every_list : entry.list;
    oracle_.drop_within(entry, list);
    oracle_.enter(entry, list);
    const std::string name = name_of(entry.list);
    const auto named = from_every_list ? std::nullopt : std::optional<std::string_view>(name);
    claim(table_->remove(entry.start, static_cast<std::uint8_t>(entry.length), entry.is_ipv4,
                         named, -1) == TableError::none);
  }

  void ask_around(const OracleEntry& entry) {
    if (!is_published_) return;
    const Key6 last = entry.start | ~mask_of<Key6>(entry.length);
    for (const Key6 address : {entry.start, entry.start - 1, last, last + 1}) ask(address);
  }

  void ask(Key6 address) {
    const VerdictClass found = reader_.lookup6(static_cast<std::uint64_t>(address >> 64),
                                               static_cast<std::uint64_t>(address));
    const ListSet lists = table_->classes().lists_of(found);
    claim(std::set<ListId>(lists.begin(), lists.end()) == oracle_.lists_of(address));
    claim(reader_.origins(address).empty() == lists.empty());
    claim(reader_.match(address).verdict_class == found);
  }

  [[nodiscard]] static std::string name_of(ListId list) { return "list" + std::to_string(list); }

  std::shared_ptr<SharedTable> table_;
  TableReader reader_;
  TableOracle oracle_;
  bool is_published_ = false;
  int builds_ = 0;
};

}  // namespace
}  // namespace activemx::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace activemx::test;
  Tables tables;
  const std::size_t operations = std::min(size / operation_octets, operations_max);
  for (std::size_t i = 0; i < operations; ++i) tables.operate(data + i * operation_octets);
  tables.finish();
  return 0;
}
