// How errors are put to a person.
#pragma once

#include <string>

#include "hast/base/error.hpp"

namespace hastctl {

/// The message of `error` as a sentence of its own.
std::string sentence(const hast::Error& error);

}  // namespace hastctl
