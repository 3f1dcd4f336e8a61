// The sub-commands. Each does its work for every operand, says what went wrong on standard
// error, and returns the exit status: the first that is not 0.
#pragma once

#include "hast/config/config.hpp"
#include "hastctl/options.hpp"

namespace hastctl {

int create(const Options& options, const hast::config::Config& config);
int dump(const Options& options, const hast::config::Config& config);
int role(const Options& options, const hast::config::Config& config);
int list(const Options& options, const hast::config::Config& config);
int status(const Options& options, const hast::config::Config& config);

int attach(const Options& options, const hast::config::Config& config);
int resolve(const Options& options, const hast::config::Config& config);

/// Keeps the first exit status that is not 0.
inline void keep_first(int& kept, int status) {
  if (kept == 0) kept = status;
}

}  // namespace hastctl
