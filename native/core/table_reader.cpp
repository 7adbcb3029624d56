// Reading a shared table, see shared_table.hpp.
#include <algorithm>
#include <array>
#include <utility>

#include "core/shared_table.hpp"

namespace activemx {
namespace {

// Addresses between two looks for a new image: some 0.1 ms.
constexpr std::size_t pinned_at_once = 4096;

[[nodiscard]] Image6::Address halves_of(Key6 address) noexcept {
  return {static_cast<std::uint64_t>(address >> 64), static_cast<std::uint64_t>(address)};
}

[[nodiscard]] Key6 whole_of(Image6::Address address) noexcept {
  return static_cast<Key6>(address.high) << 64 | address.low;
}

[[nodiscard]] bool contains(const ListSet& set, ListId list) {
  return std::binary_search(set.begin(), set.end(), list);
}

// The length, of its own family's bits, of the longest entry around the address whose list is in
// the set; there is one, since the set is the answer of the same image.
template <class Key>
[[nodiscard]] std::uint8_t longest(const SortedRules<Key>& rules, Key address, const ListSet& set) {
  std::uint32_t rule = rules.innermost(address);
  while (rule != no_rule && (rules.excluded[rule] != 0 || !contains(set, rules.list_ids[rule]))) {
    rule = rules.parents[rule];
  }
  return rule == no_rule ? std::uint8_t{0} : rules.lengths[rule];
}

}  // namespace

TableReader::TableReader(std::shared_ptr<SharedTable> table) noexcept : table_(std::move(table)) {
  if (table_ != nullptr) slot_ = &table_->epochs_.take_slot();
}

TableReader::~TableReader() {
  if (slot_ != nullptr) table_->epochs_.give_slot_back(*slot_);
}

TableReader::TableReader(TableReader&& other) noexcept
    : table_(std::move(other.table_)), slot_(std::exchange(other.slot_, nullptr)) {}

TableReader& TableReader::operator=(TableReader&& other) noexcept {
  std::swap(table_, other.table_);
  std::swap(slot_, other.slot_);
  return *this;
}

VerdictClass TableReader::lookup4(std::uint32_t address) noexcept {
  if (table_ == nullptr || !table_->any24_.may_list(address)) return 0;
  const EpochDomain::Pin pin(table_->epochs_, *slot_);
  const Published& published = table_->published();
  const VerdictClass found = published.meanings[published.image->image4.lookup(address)];
  if (!table_->signals_.is_entered_near(address)) return found;
  return table_->added_.apply(mapped(address), found, table_->classes_);
}

VerdictClass TableReader::lookup6(std::uint64_t high, std::uint64_t low) noexcept {
  const Key6 address = whole_of({high, low});
  if (is_mapped(address)) return lookup4(static_cast<std::uint32_t>(low));
  if (table_ == nullptr) return 0;
  const EpochDomain::Pin pin(table_->epochs_, *slot_);
  return find(table_->published(), address);
}

void TableReader::lookup_many4(std::span<const std::uint32_t> addresses,
                               VerdictClass* classes) noexcept {
  if (table_ == nullptr) {
    std::fill_n(classes, addresses.size(), VerdictClass{0});
    return;
  }
  for (std::size_t from = 0; from < addresses.size(); from += pinned_at_once) {
    const auto part = addresses.subspan(from, std::min(pinned_at_once, addresses.size() - from));
    const EpochDomain::Pin pin(table_->epochs_, *slot_);
    const Published& published = table_->published();
    published.image->image4.lookup_many(table_->any24_, published.meanings, part, classes + from);
    if (!table_->added_.is_empty()) extend(part, classes + from);
  }
}

// Where any24 has no bit nothing is entered either.
void TableReader::extend(std::span<const std::uint32_t> addresses,
                         VerdictClass* classes) const noexcept {
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    if (table_->any24_.bit(addresses[i]) == 0) continue;
    if (!table_->signals_.is_entered_near(addresses[i])) continue;
    classes[i] = table_->added_.apply(mapped(addresses[i]), classes[i], table_->classes_);
  }
}

void TableReader::lookup_many6(std::span<const Image6::Address> addresses,
                               VerdictClass* classes) noexcept {
  if (table_ == nullptr) {
    std::fill_n(classes, addresses.size(), VerdictClass{0});
    return;
  }
  for (std::size_t from = 0; from < addresses.size(); from += pinned_at_once) {
    const auto part = addresses.subspan(from, std::min(pinned_at_once, addresses.size() - from));
    const EpochDomain::Pin pin(table_->epochs_, *slot_);
    const Published& published = table_->published();
    published.image->image6.lookup_many(part, classes + from);
    const bool has_added = !table_->added_.is_empty();
    for (std::size_t i = 0; i < part.size(); ++i) {
      const Key6 address = whole_of(part[i]);
      VerdictClass& found = classes[from + i];
      if (is_mapped(address)) {
        found = find(published, address);
      } else {
        found = published.meanings[found];
        if (has_added) found = table_->added_.apply(address, found, table_->classes_);
      }
    }
  }
}

VerdictClass TableReader::find(const Published& published, Key6 address) const noexcept {
  const TableImage& image = *published.image;
  const ImageClass own = is_mapped(address)
                             ? image.image4.lookup(static_cast<std::uint32_t>(address))
                             : image.image6.lookup(halves_of(address));
  const VerdictClass found = published.meanings[own];
  if (table_->added_.is_empty()) return found;
  return table_->added_.apply(address, found, table_->classes_);
}

Match TableReader::match(Key6 address) {
  if (table_ == nullptr) return {};
  const bool is_ipv4 = is_mapped(address);
  if (is_ipv4 && !table_->any24_.may_list(static_cast<std::uint32_t>(address))) return {};
  if (!table_->added_.is_empty()) return match_added(address);
  const EpochDomain::Pin pin(table_->epochs_, *slot_);
  const Published& published = table_->published();
  const TableImage& image = *published.image;
  if (is_ipv4) {
    const auto own = static_cast<std::uint32_t>(address);
    const ImageClass found = image.image4.lookup(own);
    if (found == 0) return {};
    const std::uint8_t length = longest(image.rules4, own, image.sets[found]);
    return {published.meanings[found], static_cast<std::uint8_t>(96 + length)};
  }
  const ImageClass found = image.image6.lookup(halves_of(address));
  if (found == 0) return {};
  return {published.meanings[found], longest(image.rules6, address, image.sets[found])};
}

Match TableReader::match_added(Key6 address) {
  const EpochDomain::Pin pin(table_->epochs_, *slot_);
  const Published& published = table_->published();
  const VerdictClass found = find(published, address);
  const auto all = origins_of(published, address, found);
  return all.empty() ? Match{} : Match{found, all.front().length};
}

std::vector<Origin> TableReader::origins(Key6 address, TableError* fault) {
  if (table_ == nullptr) return {};
  std::vector<Origin> all;
  std::shared_ptr<const TableImage> image;
  {
    const EpochDomain::Pin pin(table_->epochs_, *slot_);
    const Published& published = table_->published();
    all = origins_of(published, address, find(published, address));
    image = published.image;
  }
  const TableError found = name_places(*image, is_mapped(address), all);
  if (fault != nullptr) *fault = found;
  return all;
}

TableError TableReader::name_places(const TableImage& image, bool is_ipv4,
                                    std::vector<Origin>& origins) {
  const bool asks = std::any_of(origins.begin(), origins.end(),
                                [](const Origin& one) { return one.rule != no_rule; });
  if (!asks) return TableError::none;
  const auto places = image.provenance.places(is_ipv4);
  if (places == nullptr) return TableError::damaged;
  for (Origin& one : origins) {
    if (one.rule == no_rule) continue;
    // A file that was forged since it was checked may say anything.
    if (places->file_ids[one.rule] >= image.files.size()) return TableError::damaged;
    one.file = image.files[places->file_ids[one.rule]];
    one.line = places->lines[one.rule];
  }
  return TableError::none;
}

std::vector<Origin> TableReader::origins_of(const Published& published, Key6 address,
                                            VerdictClass found) const {
  std::vector<Origin> all;
  const ListSet holding = table_->classes_.lists_of(found);
  if (holding.empty()) return all;
  if (is_mapped(address)) {
    const auto own = static_cast<std::uint32_t>(address);
    add_compiled(published, published.image->rules4, own, holding, all);
  } else {
    add_compiled(published, published.image->rules6, address, holding, all);
  }
  add_entered(address, holding, all);
  std::stable_sort(all.begin(), all.end(), [](const Origin& a, const Origin& b) {
    return a.length != b.length ? a.length > b.length : a.list < b.list;
  });
  return all;
}

template <class Key>
void TableReader::add_compiled(const Published& published, const SortedRules<Key>& rules,
                               Key address, const ListSet& holding,
                               std::vector<Origin>& into) const {
  for (std::uint32_t rule = rules.innermost(address); rule != no_rule;
       rule = rules.parents[rule]) {
    const ListId list = published.list_ids[rules.list_ids[rule]];
    if (rules.excluded[rule] != 0 || !contains(holding, list)) continue;
    const bool is_ipv4 = sizeof(Key) == 4;
    into.push_back({list, is_ipv4 ? mapped(static_cast<std::uint32_t>(rules.starts[rule]))
                                  : static_cast<Key6>(rules.starts[rule]),
                    static_cast<std::uint8_t>(rules.lengths[rule] + (is_ipv4 ? 96 : 0)),
                    "", 0, AddedPrefix::never, rule});
  }
  // Equal prefixes were met from last to first.
  std::reverse(into.begin(), into.end());
}

void TableReader::add_entered(Key6 address, const ListSet& holding,
                              std::vector<Origin>& into) const {
  std::vector<AddedPrefix> around;
  table_->added_.around(address, around);
  std::vector<ListId> decided;
  for (auto one = around.rbegin(); one != around.rend(); ++one) {
    if (one->list == ClassTable::every_list) return;
    if (std::find(decided.begin(), decided.end(), one->list) != decided.end()) continue;
    decided.push_back(one->list);
    if (one->is_excluded || !contains(holding, one->list)) continue;
    into.push_back({one->list, one->start, one->length, "", 0, one->ends_ms});
  }
}

}  // namespace activemx
