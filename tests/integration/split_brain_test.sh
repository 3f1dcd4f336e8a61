#!/usr/bin/env bash
# Both nodes are written while they are apart. When they meet both say so, nothing is merged, and the
# documented recovery (role init, create, role secondary on the loser) brings them together. INV-7.
. "$(dirname "$0")/lib.sh"
HOOK=$DIR/hook
cat > "$HOOK" << 'SH'
#!/bin/sh
echo "$@" >> "${0}.calls"
SH
chmod +x "$HOOK"

connected_pair
client a --ops 300
kill_node b
wait_for a status=degraded
client a --ops 300           # a's own episode
kill_node a
start b
role b primary
HISTORY_A=$HISTORY HISTORY=$DIR/history.b
client b --ops 300 --begin 32M # b's own episode, elsewhere
role b secondary
start a
role a primary
wait_for a split_brain=true status=degraded
wait_for b split_brain=true
case $(field a reason) in *[Ss]plit-brain*) ;; *) fail "the reason does not say split-brain: $(field a reason)" ;; esac
in_log a "Split-brain" || fail "a does not log it"
in_log b "plit-brain" || fail "b does not log it"
expect_soon grep -qx "split-brain r0" "$HOOK.calls"

say "nothing is merged: each node still has its own data"
HISTORY=$HISTORY_A
verify a
before=$(sha256sum < "$DISK_b")
until_true 3 in_log b "never in the log" || true # several attempts of a to connect
[ "$(sha256sum < "$DISK_b")" = "$before" ] || fail "b's component changed"
wait_for a split_brain=true
[ "$(log_count a 'Split-brain: both nodes')" -le 2 ] || fail "the log is flooded"

say "recovery: b gives up its data"
role b init
ctl b create r0
role b secondary
wait_for a status=complete split_brain=false resync=null
verify a
role a init
role b init
compare_disks
role b primary
verify b
say ok
