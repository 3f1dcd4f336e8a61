#include "hastctl/usage.hpp"

#include <cstdio>

#include "hast/config/config.hpp"

namespace hastctl {
namespace {

constexpr const char* kUsageText =
    "usage: hastctl create [-d] [-c config] [-e extentsize] [-k keepdirty]\n"
    "\t\t[-m mediasize] name ...\n"
    "       hastctl role [-d] [-c config] <init | primary | secondary> all | name ...\n"
    "       hastctl list [-d] [-c config] [all | name ...]\n"
    "       hastctl status [-d] [-c config] [all | name ...]\n"
    "       hastctl dump [-d] [-c config] [all | name ...]\n";

/// Behind "usage: ", or seven spaces where the above goes first.
constexpr const char* kOwnUsageText =
    "hastctl attach [-d] [-c config] all | name ...\n"
    "       hastctl resolve [-d] [-c config] [--dry-run] [--backup file | --no-backup]\n"
    "\t\t--discard local name\n";

constexpr const char* kHelpText =
    "  -d              say more; twice: even more\n"
    "  -e, -k, -m      sizes for create; a number with a suffix of k, m, g, t, p, e\n"
    "  --node NAME     be this node of the configuration, whatever the host is called\n"
    "  --layout WHICH  for create: extended (default), or original if the other node runs the\n"
    "                  original HAST\n"
    "  --discard local for resolve: give up what only this node wrote\n"
    "  --dry-run       for resolve: only say how much that is\n"
    "  --backup FILE   for resolve: save it there first (default: a file that hastd names)\n"
    "  --no-backup     for resolve: do not save it\n"
    "  --force         for role primary: also if the data here are inconsistent or outdated\n"
    "  --json          for list and status: print JSON\n"
    "  --timeout SECS  for all but create and dump: how long to wait for hastd\n"
    "  --help          this text\n"
    "\n"
    "hastctl(8) has an example for each task.\n";

}  // namespace

int usage() {
  std::fputs(kUsageText, stderr);
  return kUsage;
}

int own_usage() {
  std::fprintf(stderr, "usage: %s", kOwnUsageText);
  return kUsage;
}

int help() {
  std::printf("%s       %s\n  -c config       the configuration file (default %s)\n%s", kUsageText,
              kOwnUsageText, hast::config::kDefaultPath.data(), kHelpText);
  return kOk;
}

}  // namespace hastctl
