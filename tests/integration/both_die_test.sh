#!/usr/bin/env bash
# Both nodes die (kill -9) while a client writes, the secondary a moment after the primary. They
# return in their roles, resync what was in flight, and nothing acknowledged is missing.
. "$(dirname "$0")/lib.sh"
MODE=${1:-fullsync}

connected_pair
start_client a --depth 16
some_writes 500
kill -9 "${PID[a]}" "${PID[b]}"
kill_node a
kill_node b
lost_client
start a
start b
role a primary
verify a # served before the peer is there
role b secondary
in_sync
verify a
role a init
role b init
compare_disks
role b primary
verify b
say ok
