#include "hast/base/error.hpp"

#include <array>
#include <system_error>
#include <utility>

#include "hast/base/assert.hpp"

namespace hast {
namespace {

// In the order of the enumeration: text_of() finds a row by its number. docs/errors.md has a row
// for each, and a test compares the two.
constexpr auto kErrors = std::to_array<ErrcText>({
    {Errc::truncated, "truncated", "the input ends too early",
     "Check that the sender is a HAST daemon and that the file or stream is complete."},
    {Errc::malformed, "malformed", "the input breaks its format",
     "Check that the other side is a HAST daemon of a version this one supports."},
    {Errc::too_large, "too_large", "a length exceeds its bound",
     "Check that the other side is a HAST daemon, or make the value smaller."},
    {Errc::missing_field, "missing_field", "a required field is absent",
     "Check that the other side is a HAST daemon of a version this one supports."},
    {Errc::wrong_type, "wrong_type", "a field has the wrong type",
     "Check that the other side is a HAST daemon of a version this one supports."},
    {Errc::unknown_algorithm, "unknown_algorithm", "unknown checksum or compression algorithm",
     "Use the same `checksum` and `compression` settings on both nodes."},
    {Errc::checksum_mismatch, "checksum_mismatch", "data arrived damaged: the checksum differs",
     "The request is repeated by a resync; if this happens again check memory, cables and network "
     "cards of both nodes."},

    {Errc::component_not_found, "component_not_found", "the local component does not exist",
     "Create the device or file, or correct `local` in the configuration."},
    {Errc::component_unsupported, "component_unsupported",
     "the local component cannot hold a resource",
     "Use a block device or a regular file with a sector size of at most 4096 bytes."},
    {Errc::component_busy, "component_busy", "the local component is in use by another process",
     "Stop the process that holds it (another hastd, a mount, a volume manager) and try again."},
    {Errc::component_too_small, "component_too_small", "the local component is too small",
     "Use a bigger device or file, or a bigger extentsize, so that metadata, map and data fit."},
    {Errc::component_foreign, "component_foreign",
     "the local component belongs to another resource",
     "Correct `local` in the configuration, or run `hastctl create` if its contents may go."},
    {Errc::component_unformatted, "component_unformatted",
     "the local component has no HAST metadata",
     "Run `hastctl create` for the resource on this node."},
    {Errc::metadata_damaged, "metadata_damaged", "the metadata of the local component is damaged",
     "Run `hastctl create` for the resource on this node and make it secondary: the peer then "
     "copies everything back."},
    {Errc::component_inconsistent, "component_inconsistent",
     "the local component is a mixture of old and new data",
     "Make this node secondary and let the peer complete it, or promote the peer. Only if the peer "
     "is lost for good: `hastctl role --force primary`, then check the file system."},
    {Errc::component_outdated, "component_outdated",
     "the peer is known to hold newer data than the local component",
     "Promote the peer, or make this node secondary and let it catch up. Only if the peer is lost "
     "for good: `hastctl role --force primary`."},
    {Errc::io_failed, "io_failed", "an input or output operation failed",
     "Check the device and the kernel's log, and replace the disk if it is failing."},

    {Errc::address_invalid, "address_invalid", "invalid address",
     "Write it as tcp://HOST:PORT, tcp4://, tcp6:// or unix://PATH with a name that resolves."},
    {Errc::address_in_use, "address_in_use", "another process listens on the address",
     "Stop that process or choose another address in the configuration."},
    {Errc::unreachable, "unreachable", "the peer does not answer",
     "Check that hastd runs on the peer and that the network and firewalls let it through; hastd "
     "keeps trying."},
    {Errc::timed_out, "timed_out", "the other side did not answer in time",
     "Check the load of the peer and the network; raise `timeout` if both are merely slow."},
    {Errc::connection_closed, "connection_closed", "the other side closed the connection",
     "See the log of the other side for its reason; hastd connects again by itself."},
    {Errc::version_mismatch, "version_mismatch", "the peer speaks another protocol version",
     "Bring hastd on both nodes to versions that have a protocol in common."},
    {Errc::peer_refused, "peer_refused", "the peer refused the connection",
     "Remove the reason it gives; its own log may say more."},
    {Errc::peer_waits, "peer_waits", "the peer is primary itself",
     "Give exactly one of the nodes the role primary: run `hastctl role secondary` on the other."},
    {Errc::size_mismatch, "size_mismatch", "the two nodes disagree about datasize or extentsize",
     "Run `hastctl create` again on the node whose data may go, with the -m and -e of the other; "
     "if the other runs the original HAST add --layout original."},
    {Errc::resuid_mismatch, "resuid_mismatch", "the two components never belonged together",
     "Check `remote` and `local` on both nodes; to join them run `hastctl create` on the node "
     "whose data may go."},
    {Errc::not_fenced, "not_fenced", "it is not certain that the peer serves nobody",
     "See in the log why the fence hook failed. Only if you know that the other node serves "
     "nobody: `hastctl role --force primary`."},
    {Errc::split_brain, "split_brain", "split-brain: both nodes were written independently",
     "Decide which node's changes to give up; there run `hastctl role secondary`, then `hastctl "
     "resolve --discard local`, which saves and then discards them."},
    {Errc::no_split_brain, "no_split_brain", "no split-brain was found",
     "Nothing is discarded. Wait until the primary has tried to connect: `hastctl status --json` "
     "then says \"split_brain\": true if there is something to resolve."},
    {Errc::both_inconsistent, "both_inconsistent", "neither node holds the whole data",
     "Decide which node is the better one; there run `hastctl role --force primary` and check the "
     "file system: the other one is then made equal to it."},
    {Errc::token_mismatch, "token_mismatch", "the second connection does not belong to the first",
     "Nothing to do if the peer was just restarted; otherwise check that no two resources share "
     "an address."},
    {Errc::access_denied, "access_denied", "access denied",
     "Check that `remote` on this node names the address the peer connects from, and file "
     "permissions."},

    {Errc::usage, "usage", "invalid request", "Correct the command; `hastctl -h` shows the usage."},
    {Errc::config_invalid, "config_invalid", "the configuration breaks a rule",
     "Correct the configuration file; hast.yaml(5) describes every key."},
    {Errc::config_unreadable, "config_unreadable", "the configuration file cannot be read",
     "Check the path given with -c and the permissions of the file."},
    {Errc::no_such_resource, "no_such_resource", "no such resource",
     "Check the name against `resources` in the configuration; reload hastd if it is new."},
    {Errc::no_such_node, "no_such_node", "no entry under `nodes` matches this machine",
     "Add an entry with this machine's host name, or start with --node NAME."},
    {Errc::wrong_role, "wrong_role", "the resource has another role",
     "Set the role the operation needs with `hastctl role`, on this node or on its peer."},
    {Errc::already_running, "already_running", "another hastd is running",
     "Stop it first, or give this one its own pidfile and addresses."},
    {Errc::daemon_unreachable, "daemon_unreachable", "hastd does not answer on its control socket",
     "Check that hastd is running, that `control` is the same for both, and that you may open the "
     "socket."},
    {Errc::limit_reached, "limit_reached", "a limit is reached",
     "Close connections that are not needed and try again."},
    {Errc::cancelled, "cancelled", "the operation was stopped",
     "Nothing to do: a role change, a reload or the end of hastd stopped it."},
    {Errc::unsupported, "unsupported", "this system cannot do it",
     "Use another front-end, or a kernel and device that offer the operation."},
    {Errc::internal, "internal", "a bug in hast",
     "Please report it with the lines of the log before it."},
});

constexpr bool in_order() {
  for (std::size_t i = 0; i < kErrors.size(); ++i)
    if (static_cast<std::size_t>(kErrors[i].code) != i + 1) return false;
  return kErrors.back().code == Errc::internal;
}
static_assert(in_order(), "every Errc has its row, in the order of the enumeration");

}  // namespace

std::span<const ErrcText> all_errors() { return kErrors; }

const ErrcText& text_of(Errc code) {
  const auto number = static_cast<std::size_t>(code);
  HAST_ASSERT(number >= 1 && number <= kErrors.size());
  return kErrors[number - 1];
}

std::string errno_text(int os_error) { return std::generic_category().message(os_error); }

std::string Error::message() const {
  const ErrcText& text = text_of(code);
  std::string line(text.what);
  if (!detail.empty()) line += ": " + detail;
  if (os_error != 0) line += ": " + errno_text(os_error);
  return with_full_stop(std::move(line)) + ' ' + std::string(text.action);
}

std::string with_full_stop(std::string text) {
  if (!text.ends_with('.') && !text.ends_with('?')) text += '.';
  return text;
}

}  // namespace hast
