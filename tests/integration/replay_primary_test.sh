#!/usr/bin/env bash
# The recorded answers of an original secondary, given to our primary: it takes them, sends only what
# is legal, and carries every operation of the client; refusals end in the status, not in a crash.
. "$(dirname "$0")/lib.sh"
REPLAY="$PY $TOOLS/replay_primary.py"
scenarios=$($REPLAY list)
[ -n "$scenarios" ] || skip "no recorded conversations in $GOLDEN/wire"
replayed=0
for scenario in $scenarios; do
  case $scenario in
    remote-read*) continue ;; # its client reads what the primary lost; failing_disk_test does that
    resync-after*) continue ;; # the same messages as in sync-initial and basic
  esac
  read -r MODE CHECKSUM COMPRESSION <<< "$($REPLAY config "$scenario")"
  write_config
  $REPLAY prepare "$scenario" "$DISK_a"
  start a
  $REPLAY run "$scenario" 127.0.0.2 "$PORT" "$(uri a)" "$DIR/a.ctl" || fail "$scenario"
  alive a
  kill_node a
  replayed=$((replayed + 1))
done
[ $replayed -ge 10 ] || fail "only $replayed conversations"
say ok
