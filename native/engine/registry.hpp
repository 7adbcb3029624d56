// EngineRegistry: the engines of the process by token, so that a gate on one thread finds the
// engine of another. Any thread.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/engine.hpp"

namespace activemx {

// A token is positive and never given twice.
[[nodiscard]] std::uint32_t register_engine(const std::shared_ptr<Engine>& engine);
[[nodiscard]] std::shared_ptr<Engine> find_engine(std::uint32_t token);
void forget_engine(std::uint32_t token);

}  // namespace activemx
