#!/usr/bin/env bash
# Clients that connect and say nothing, or half a word, on the control socket, the peer port and the
# export: they block nobody, and nobody waits for them.
. "$(dirname "$0")/lib.sh"
connected_pair
start_client a --depth 4 --rate 500

"$PY" "$TOOLS/silent_clients.py" "$DIR/a.ctl" "$DIR/a.sock" 127.0.0.1 "$PORT" 127.0.0.2 > "$DIR/silent" 2>&1 &
SILENT=$!
PIDS+=("$SILENT")
expect_soon grep -q holding "$DIR/silent"

for _ in 1 2 3 4 5; do
  from=$EPOCHREALTIME
  ctl a status > "$DIR/out"
  took=$(((${EPOCHREALTIME/./} - ${from/./}) / 1000))
  [ $took -lt 1000 ] || fail "status took $took ms"
done
some_writes 200
say "the peer can still connect anew"
kill_node b
wait_for a status=degraded
start b
role b secondary
wait_for a status=complete
some_writes 200
stop_client
verify a
say "a becomes secondary and takes a primary's connection past the silent ones"
role a secondary
role b primary
in_sync b
alive a
kill -0 "$SILENT" || fail "the silent clients ended: $(cat "$DIR/silent")"
stop_node a
say ok
