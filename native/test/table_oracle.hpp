// TableOracle: the meaning of a table in a few obvious lines, for tests and fuzz targets.
//
// Every question goes over all entries. Addresses are 128 bits, IPv4 as ::ffff:0:0/96.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "core/added_prefixes.hpp"
#include "core/ip_rules.hpp"

namespace activemx::test {

struct OracleEntry {
  Key6 start;
  unsigned length;  // of 128
  ListId list;
  bool is_excluded;
  bool is_ipv4;

  [[nodiscard]] bool holds(Key6 address) const {
    return is_mapped(address) == is_ipv4 && ((address ^ start) & mask_of<Key6>(length)) == 0;
  }
};

// Columns that own their memory.
struct OwnedColumns {
  std::vector<std::uint32_t> words;
  std::vector<std::uint8_t> lengths;
  std::vector<std::uint16_t> list_ids;
  std::vector<std::uint16_t> file_ids;
  std::vector<std::uint32_t> lines;
  std::vector<std::uint8_t> excluded;

  void push(const OracleEntry& entry, std::uint16_t file, std::uint32_t line) {
    if (!entry.is_ipv4) {
      for (int shift = 96; shift > 0; shift -= 32) {
        words.push_back(static_cast<std::uint32_t>(entry.start >> shift));
      }
    }
    words.push_back(static_cast<std::uint32_t>(entry.start));
    lengths.push_back(static_cast<std::uint8_t>(entry.length - (entry.is_ipv4 ? 96 : 0)));
    list_ids.push_back(entry.list);
    file_ids.push_back(file);
    lines.push_back(line);
    excluded.push_back(entry.is_excluded ? 1 : 0);
  }

  [[nodiscard]] RuleColumns view() const {
    return {words, lengths, list_ids, file_ids, lines, excluded};
  }
};

class TableOracle {
 public:
  static constexpr int every_list = -1;

  // Compiled entries; line i + 1 of file 0.
  std::vector<OracleEntry> compiled;

  void enter(const OracleEntry& entry, int list) {
    for (auto& one : entered_) {
      if (one.list == list && is_same(one.entry, entry)) {
        one.entry = entry;
        return;
      }
    }
    entered_.push_back({entry, list});
  }

  void drop_within(const OracleEntry& block, int list) {
    std::erase_if(entered_, [&](const Entered& one) {
      return (list == every_list || one.list == list) && one.entry.length >= block.length &&
             block.holds(one.entry.start) && one.entry.is_ipv4 == block.is_ipv4;
    });
  }

  // For each list the longest entry decides, exclusions first among equals; entered before
  // compiled.
  [[nodiscard]] std::set<ListId> lists_of(Key6 address) const {
    std::map<ListId, const OracleEntry*> deciding;
    for (const OracleEntry& one : compiled) {
      if (!one.holds(address)) continue;
      const OracleEntry*& best = deciding[one.list];
      const bool is_better = best == nullptr || one.length > best->length ||
                             (one.length == best->length && one.is_excluded);
      if (is_better) best = &one;
    }
    std::set<ListId> lists;
    for (const auto& [list, best] : deciding) {
      if (!best->is_excluded) lists.insert(list);
    }
    for (unsigned length = 0; length <= 128; ++length) apply_length(address, length, lists);
    return lists;
  }

  [[nodiscard]] IpRules rules(OwnedColumns& v4, OwnedColumns& v6, unsigned list_count) const {
    IpRules rules;
    for (unsigned list = 0; list < list_count; ++list) {
      rules.lists.push_back("list" + std::to_string(list));
    }
    rules.files.emplace_back("file");
    std::uint32_t line = 0;
    for (const OracleEntry& one : compiled) (one.is_ipv4 ? v4 : v6).push(one, 0, ++line);
    rules.v4 = v4.view();
    rules.v6 = v6.view();
    return rules;
  }

 private:
  struct Entered {
    OracleEntry entry;
    int list;
  };

  [[nodiscard]] static bool is_same(const OracleEntry& a, const OracleEntry& b) {
    return a.start == b.start && a.length == b.length && a.is_ipv4 == b.is_ipv4;
  }

  // What was entered for all lists goes before what was entered for one.
  void apply_length(Key6 address, unsigned length, std::set<ListId>& lists) const {
    for (const bool for_every : {true, false}) {
      for (const Entered& one : entered_) {
        if (one.entry.length != length || !one.entry.holds(address)) continue;
        if ((one.list == every_list) != for_every) continue;
        if (for_every) lists.clear();
        else if (one.entry.is_excluded) lists.erase(static_cast<ListId>(one.list));
        else lists.insert(static_cast<ListId>(one.list));
      }
    }
  }

  std::vector<Entered> entered_;
};

}  // namespace activemx::test
