// What list and status have in common: the question, the JSON, the errors.
#pragma once

#include "hast/config/config.hpp"
#include "hast/control/reply.hpp"
#include "hastctl/options.hpp"

namespace hastctl {

/// Asks for the status of the operands and prints it with `print`, or as JSON; returns the exit
/// status.
int report(const Options& options, const hast::config::Config& config,
           void (*print)(const hast::control::StatusReply& reply));

}  // namespace hastctl
