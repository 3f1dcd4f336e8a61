// The usage texts, of the original's commands byte for byte its own (config-and-cli §4), and exit
// statuses.
#pragma once

namespace hastctl {

/// sysexits(3), and what the original gives them for (config-and-cli §4.1).
enum Exit : int {
  kOk = 0,
  kUsage = 64,
  kDataError = 65,         // unknown resource, sizes that break a rule
  kNoInput = 66,           // the local component cannot be opened or inspected
  kUnavailable = 69,       // nothing can be sent to or received from hastd
  kSoftware = 70,          // hastd refused the whole request
  kOsError = 71,           // no connection to hastd
  kOsFile = 72,            // the configuration file cannot be opened
  kIoError = 74,           // writing metadata or output failed
  kTemporaryFailure = 75,  // out of memory
  kConfig = 78,            // the configuration breaks a rule
  kDumpFailed = 255,
};

/// Prints the usage of the original's commands on standard error; returns kUsage.
int usage();

/// The same of the commands that the original does not have.
int own_usage();

/// --help: all of it, and the options, on standard output; returns kOk.
int help();

}  // namespace hastctl
