#!/usr/bin/env bash
# Both nodes are written while they are apart. When they meet both say so, nothing is merged, and the
# documented recovery (hastctl resolve on the loser) saves what is given up and brings them together,
# copying what either wrote and no more. INV-7.
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

say "a node that is not the loser, or not split, discards nothing"
expect_status 5 ctl a resolve r0 --discard local
grep -q "is primary here" "$DIR/out" || fail "resolve on the primary says: $(cat "$DIR/out")"
expect_status 64 ctl b resolve r0
expect_status 64 ctl b resolve r0 --discard remote
expect_status 1 ctl b resolve nosuch --discard local

say "the plan"
expect_status 0 ctl b resolve r0 --discard local --dry-run
say "$(cat "$DIR/out")"
grep -q "nothing was changed" "$DIR/out" || fail "a dry run says: $(cat "$DIR/out")"
[ "$(sha256sum < "$DISK_b")" = "$before" ] || fail "a dry run changed something"
wait_for a split_brain=true

say "a backup that cannot be made: nothing is discarded, nothing that was there is touched"
echo precious > "$DIR/there"
expect_status 5 ctl b resolve r0 --discard local --backup "$DIR/there"
[ "$(cat "$DIR/there")" = precious ] || fail "a file that was there was overwritten"
expect_status 5 ctl b resolve r0 --discard local --backup "$DIR/there/below"
wait_for a split_brain=true

say "recovery: b gives up what it wrote alone"
expect_status 0 ctl b resolve r0 --discard local --backup "$DIR/given-up.img"
say "$(cat "$DIR/out")"
wait_for a status=complete split_brain=false resync=null
wait_for b status=complete split_brain=false
verify a
expect_status 5 ctl b resolve r0 --discard local # there is nothing left to resolve
grep -qi "no split-brain" "$DIR/out" || fail "resolve of nothing says: $(cat "$DIR/out")"

say "the backup has what b alone wrote, at its place, and is sparse"
volume=$(field b datasize_bytes)
"$PY" "$TOOLS/nbd_history.py" verify --component "$DIR/given-up.img" --size "$volume" --initial any \
  --history "$DIR/history.b" || fail "the backup"
[ "$(stat -c %s "$DIR/given-up.img")" = "$volume" ] || fail "the size of the backup"
[ "$(($(stat -c %b "$DIR/given-up.img") * 512))" -lt "$(stat -c %s "$DIR/given-up.img")" ] || fail "the backup is not sparse"

role a init
role b init
compare_disks
role b primary
verify b
say ok
