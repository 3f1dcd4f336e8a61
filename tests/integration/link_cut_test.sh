#!/usr/bin/env bash
# The network between healthy nodes: cut (connections reset), silent (nothing arrives, nothing is
# closed), and cut again and again in the middle of resyncs. Healed means connected and in sync
# within seconds, without anybody's help; the client never gets an error. INV-13.
. "$(dirname "$0")/lib.sh"
TIMEOUT=2
RELAY_PORT=$(free_port 1)
REMOTE_a=tcp://127.0.0.2:$RELAY_PORT
"$PY" "$TOOLS/relay.py" "127.0.0.2:$RELAY_PORT" "127.0.0.2:$PORT" 127.0.0.1 > "$DIR/relay.out" 2>&1 &
RELAY=$!
PIDS+=("$RELAY")
expect_soon grep -q ready "$DIR/relay.out"

connected_pair
start_client a --depth 8 --rate 1000
some_writes
say "cut"
kill -USR1 "$RELAY"
wait_for a status=degraded
some_writes
kill -USR2 "$RELAY"
from=$SECONDS
wait_for a status=complete
[ $((SECONDS - from)) -le 10 ] || fail "connected only $((SECONDS - from)) s after the network healed"
some_writes

say "silent: noticed after the timeout, writes go on"
kill -STOP "$RELAY"
wait_for a status=degraded
say "because: $(field a reason)"
some_writes
kill -CONT "$RELAY"
wait_for a status=complete
wait_for b status=complete

say "cut ten times, in resyncs and out of them"
for _ in 1 2 3 4 5 6 7 8 9 10; do
  wait_for a status=complete
  kill -USR1 "$RELAY"
  wait_for a status=degraded
  some_writes 50
  kill -USR2 "$RELAY"
done
wait_for a status=complete
some_writes
stop_client
in_sync
verify a
[ "$(wc -l < "$DIR/a.log")" -lt 600 ] || fail "$(wc -l < "$DIR/a.log") lines in a's log"
role a init
role b init
compare_disks
role b primary
verify b
say ok
