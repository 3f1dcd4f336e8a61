#!/usr/bin/env bash
# The secondary dies (kill -9) while a client writes and comes back: the client never notices, what
# it changed meanwhile is copied, and the components are equal. INV-2, INV-12, INV-13.
. "$(dirname "$0")/lib.sh"
MODE=${1:-fullsync}

connected_pair
start_client a --depth 16 --rate 1500
some_writes
kill_node b
wait_for a status=degraded
some_writes
say "degraded: $(field a dirty_bytes) bytes dirty, because: $(field a reason)"
start b
role b secondary
wait_for a status=complete
some_writes
stop_client
in_sync
verify a
role a init
role b init
compare_disks
role b primary
verify b
say ok
