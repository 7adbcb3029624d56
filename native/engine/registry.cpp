// EngineRegistry: see registry.hpp.
#include "engine/registry.hpp"

#include <map>
#include <mutex>

namespace activemx {
namespace {

struct Registry {
  std::mutex mutex;
  std::map<std::uint32_t, std::weak_ptr<Engine>> engines;
  std::uint32_t last_token = 0;
};

// Never destroyed: a worker may end after the statics of the process are gone.
Registry& registry() {
  static Registry& instance = *new Registry;
  return instance;
}

}  // namespace

std::uint32_t register_engine(const std::shared_ptr<Engine>& engine) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  all.engines.emplace(++all.last_token, engine);
  return all.last_token;
}

std::shared_ptr<Engine> find_engine(std::uint32_t token) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  const auto found = all.engines.find(token);
  return found == all.engines.end() ? nullptr : found->second.lock();
}

void forget_engine(std::uint32_t token) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  all.engines.erase(token);
}

}  // namespace activemx
