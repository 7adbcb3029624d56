// The registry: who found a table keeps it; an image is used once, or repeated; numbers mean
// nothing once they are used up. And what a table says when its lists are too many.
#include "core/table_registry.hpp"

#include <string>

#include "checks.hpp"
#include "table_oracle.hpp"

namespace activemx::test {
namespace {

constexpr std::uint32_t listed = 0xc000'0207;

CompiledTable compile_one() {
  TableOracle oracle;
  oracle.compiled.push_back({mapped(listed), 128, 0, false, true});
  OwnedColumns v4;
  OwnedColumns v6;
  TableError error = TableError::none;
  return CompiledTable(compile(oracle.rules(v4, v6, 1), error));
}

void check_tables() {
  const std::uint32_t handle = register_shared_table(std::make_shared<SharedTable>());
  const auto table = find_shared_table(handle);
  check(table != nullptr, "found by its handle");
  check(find_shared_table(handle + 1000) == nullptr, "another handle finds nothing");
  forget_shared_table(handle);
  forget_shared_table(handle);
  check(find_shared_table(handle) == nullptr, "forgotten");
  check(table->publish(compile_one()) == TableError::none, "who found it keeps it");
  TableReader reader(table);
  check(reader.lookup4(listed) != 0 && reader.lookup4(listed + 1) == 0, "and reads it");
  check(table->image()->rules4.count() == 1, "the image that is published");
  const TableSizes sizes = table->sizes();
  check(sizes.prefixes4 == 1 && sizes.prefixes6 == 0 && sizes.classes == 1, "counted");
  check(sizes.added == 0 && sizes.octets > Any24::octets, "sized");
}

void check_images() {
  const std::uint32_t first = register_compiled(compile_one());
  const std::uint32_t second = register_again(first);
  check(first != 0 && second != 0 && first != second, "two numbers of one image");
  const auto one = take_compiled(first);
  const auto other = take_compiled(second);
  check(one && other && one->image == other->image, "the image itself is shared");
  check(!take_compiled(first) && register_again(first) == 0, "used up");
}

// Names of lists are kept for good: 65,535 of them are all there can be.
void check_too_many_lists() {
  SharedTable table;
  for (std::uint32_t list = 0; list < ClassTable::every_list; ++list) {
    check(table.classes().list_id("list" + std::to_string(list)) == list, "a new name");
  }
  check(table.add(mapped(listed), 128, true, "one more", -1) == TableError::too_many_classes,
        "no room for an entered list");
  check(table.remove(mapped(listed), 128, true, "one more", -1) == TableError::too_many_classes,
        "nor for an excluded one");
  TableOracle oracle;
  oracle.compiled.push_back({mapped(listed), 128, 0, false, true});
  OwnedColumns v4;
  OwnedColumns v6;
  TableError error = TableError::none;
  IpRules rules = oracle.rules(v4, v6, 1);
  rules.lists = {"one more"};
  check(table.publish(CompiledTable(compile(rules, error))) == TableError::too_many_classes,
        "nor for a compiled one");
  check(table.add(mapped(listed), 128, true, "list7", -1) == TableError::none, "known ones go on");
  check(table.sizes().added == 1, "and are entered");
}

}  // namespace
}  // namespace activemx::test

int main() {
  activemx::test::check_tables();
  activemx::test::check_images();
  activemx::test::check_too_many_lists();
  return 0;
}
