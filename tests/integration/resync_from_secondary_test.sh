#!/usr/bin/env bash
# The other direction: the node that returns is made primary, although its peer has the newer data.
# It serves clients at once, from the peer where its own copy is old, and never copies old over new.
# INV-6.
. "$(dirname "$0")/lib.sh"

connected_pair
client a --ops 600 --depth 16
kill_node a
role b primary
client b --ops 2000 --depth 16 # only b has these
role b secondary               # by plan, not by accident
start a
role a primary
say "syncing from the secondary while a client reads and writes"
wait_for a status=complete
start_client a --depth 8 --rate 1000
some_writes 300
stop_client
verify a # may still be syncing: reads come from where the newest data are
in_sync
verify a
in_log a "source secondary" || fail "a did not sync from the secondary"
role a init
role b init
compare_disks
say ok
