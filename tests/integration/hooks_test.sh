#!/usr/bin/env bash
# Hooks get the original's arguments, argv[0] is the full path, and nothing of the daemon: no
# descriptor but 0, 1, 2 on /dev/null, no blocked signals. A hook that hangs or fails stops nothing.
. "$(dirname "$0")/lib.sh"
HOOK=$DIR/hook
cat > "$HOOK" << 'SH'
#!/bin/sh
base=${0%/*}
ls -l /proc/self/fd > "$base/hook.fds.$$"
grep SigBlk /proc/self/status >> "$base/hook.signals"
echo "$0 $*" >> "$base/hook.calls"
[ "$1" = syncdone ] && exit 3
[ -e "$base/hang" ] && exec sleep 30
exit 0
SH
chmod +x "$HOOK"
CALLS=$DIR/hook.calls

called() { grep -qxF -- "$HOOK $*" "$CALLS"; }

connected_pair
expect_soon called role r0 init primary
expect_soon called role r0 init secondary
expect_soon called connect r0
kill_node b
wait_for a status=degraded
expect_soon called disconnect r0
client a --ops 100
: > "$CALLS"
start b
role b secondary
in_sync
expect_soon called syncstart r0
expect_soon called syncdone r0
expect_soon called connect r0
role a init
expect_soon called role r0 primary init
role a primary
client a --ops 100

say "descriptors and signals of the hooks"
[ "$(ls "$DIR"/hook.fds.* | wc -l)" -ge 8 ] || fail "too few hooks ran"
cat "$DIR"/hook.fds.* | awk '/->/ {print $(NF-2), $NF}' | sort -u > "$DIR/fds"
while read -r fd target; do
  case "$fd $target" in
    "0 /dev/null" | "2 /dev/null") ;;
    "1 $DIR/hook.fds."* | "3 /proc/"*) ;; # of ls itself
    *) fail "a hook has the descriptor $fd: $target" ;;
  esac
done < "$DIR/fds"
[ "$(sort -u "$DIR/hook.signals" | awk '{print $2}')" = 0000000000000000 ] || fail "signals are blocked in hooks: $(sort -u "$DIR/hook.signals")"
expect_soon in_log a "hook" # that syncdone failed is said
grep -q . "$CALLS"

say "the role is set again although it is in force: no hook"
: > "$CALLS"
role a primary
role b init
expect_soon called role r0 secondary init
called role r0 primary primary && fail "a hook for no change"

say "a hook that hangs: roles, clients and the end of the daemon do not wait for it"
touch "$DIR/hang"
role a init
expect_soon called role r0 primary init
role a primary
client a --ops 50
from=$SECONDS
stop_node a
[ $((SECONDS - from)) -le 15 ] || fail "the end took $((SECONDS - from)) s"
say ok
