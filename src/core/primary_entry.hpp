// Private to Primary: every call from outside opens an Entry; when the outermost one ends, finished
// requests are delivered. So clients are called back only when the core's state is consistent.
#pragma once

#include "hast/core/primary.hpp"

namespace hast::core {

class Primary::Entry {
 public:
  explicit Entry(Primary& primary) : primary_(primary) { ++primary_.depth_; }
  ~Entry() {
    if (--primary_.depth_ > 0) return;
    primary_.deliver();
    if (primary_.quiet()) primary_.host_.changed();
  }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

 private:
  Primary& primary_;
};

}  // namespace hast::core
