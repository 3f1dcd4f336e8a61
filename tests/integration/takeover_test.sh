#!/usr/bin/env bash
# A primary that comes back takes over the session that its former self left behind: the secondary
# does not wait until the old connections time out.
. "$(dirname "$0")/lib.sh"
connected_pair
client a --ops 300
resuid=$(ctl a dump r0 | awk '/resuid/{print $2}')
kill_node a
say "an old connection of the primary that nobody closed"
"$PY" "$TOOLS/hold_session.py" 127.0.0.2 "$PORT" 127.0.0.1 r0 "$resuid" > "$DIR/held" 2>&1 &
HOLDER=$!
PIDS+=("$HOLDER")
expect_soon grep -q holding "$DIR/held"
wait_for b status=complete
start a
role a primary
from=$SECONDS
in_sync
[ $((SECONDS - from)) -lt 10 ] || fail "it took $((SECONDS - from)) s"
wait "$HOLDER" || fail "the old session was not closed: $(cat "$DIR/held")"
client a --ops 300
verify a
say "the same with a real primary killed and back in the middle of writing"
start_client a --depth 8
some_writes
kill_node a
lost_client
start a
role a primary
in_sync
verify a
role a init
role b init
compare_disks
say ok
