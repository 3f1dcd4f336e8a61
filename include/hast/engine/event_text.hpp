// Events of the core in words: the log line, its level, and the word hooks are told.
#pragma once

#include <string>
#include <string_view>

#include "hast/base/log.hpp"
#include "hast/core/event.hpp"

namespace hast::engine {

struct EventText {
  LogLevel level;
  std::string text;
  std::string_view hook;  // "syncstart", "syncdone", "syncintr"; empty: no hook (semantics §10)
};

EventText describe(const core::Event& event);

}  // namespace hast::engine
