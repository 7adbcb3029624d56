// TableImage: one compiled set of prefixes: both lookup structures, the sets of lists that their
// classes stand for, the prefixes themselves and where each came from.
//
// Made by compile() or read from a snapshot, then immutable but for where its provenance lies;
// shared by reference. Any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/image4.hpp"
#include "core/image6.hpp"
#include "core/ip_rules.hpp"
#include "core/list_sets.hpp"
#include "core/sorted_rules.hpp"

namespace activemx {

struct TableImage {
  std::vector<std::string> lists;
  std::vector<std::string> files;
  std::vector<ListSet> sets;  // by ImageClass; sets[0] is empty
  Image4 image4;
  Image6 image6;
  SortedRules<Key4> rules4;
  SortedRules<Key6> rules6;
  Provenance provenance;
};

// Sorts, sweeps and packs; null and the reason where a maximum is passed. O(n). Any thread; a
// million prefixes take a quarter of a second, so not in one that serves.
[[nodiscard]] std::shared_ptr<const TableImage> compile(const IpRules& rules, TableError& error);

}  // namespace activemx
