// The registry of tables, see table_registry.hpp.
#include "core/table_registry.hpp"

#include <mutex>
#include <unordered_map>
#include <utility>

namespace activemx {
namespace {

struct Registry {
  std::mutex mutex;
  std::uint32_t next = 1;
  std::unordered_map<std::uint32_t, std::shared_ptr<SharedTable>> tables;
  std::unordered_map<std::uint32_t, CompiledTable> compiled;
};

// Never destroyed: threads may still read tables while the process ends.
[[nodiscard]] Registry& registry() {
  static Registry* const one = new Registry();
  return *one;
}

}  // namespace

std::uint32_t register_shared_table(std::shared_ptr<SharedTable> table) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  all.tables.emplace(all.next, std::move(table));
  return all.next++;
}

std::shared_ptr<SharedTable> find_shared_table(std::uint32_t handle) noexcept {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  const auto found = all.tables.find(handle);
  return found == all.tables.end() ? nullptr : found->second;
}

void forget_shared_table(std::uint32_t handle) {
  Registry& all = registry();
  std::shared_ptr<SharedTable> last;  // freed after the lock
  const std::lock_guard lock(all.mutex);
  const auto found = all.tables.find(handle);
  if (found == all.tables.end()) return;
  last = std::move(found->second);
  all.tables.erase(found);
}

std::uint32_t register_compiled(CompiledTable compiled) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  all.compiled.emplace(all.next, std::move(compiled));
  return all.next++;
}

std::uint32_t register_again(std::uint32_t number) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  const auto found = all.compiled.find(number);
  if (found == all.compiled.end()) return 0;
  CompiledTable copy(found->second);  // the image itself is shared
  all.compiled.emplace(all.next, std::move(copy));
  return all.next++;
}

std::optional<CompiledTable> take_compiled(std::uint32_t number) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  const auto found = all.compiled.find(number);
  if (found == all.compiled.end()) return std::nullopt;
  std::optional<CompiledTable> taken(std::move(found->second));
  all.compiled.erase(found);
  return taken;
}

}  // namespace activemx
