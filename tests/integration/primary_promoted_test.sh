#!/usr/bin/env bash
# The primary dies (kill -9) while a client writes; the secondary is promoted and has every
# acknowledged write (fullsync, memsync), or all but the last ones in order (async). The old primary
# returns as secondary and is brought up to date.
. "$(dirname "$0")/lib.sh"
MODE=${1:-fullsync}

connected_pair
start_client a --depth 16
some_writes 500
kill_node a
lost_client
role b primary
if [ "$MODE" = async ]; then verify b --prefix; else verify b; fi

say "the new primary serves a client at once, and the old one returns"
if [ "$MODE" = async ]; then rm "$HISTORY"; INITIAL=any; else INITIAL=zero; fi
start_client b --depth 8 --rate 1500
some_writes
start a
role a secondary
wait_for b status=complete
some_writes
stop_client
in_sync b
verify b --initial $INITIAL
role b init
role a init
compare_disks
role a primary
verify a --initial $INITIAL
say ok
