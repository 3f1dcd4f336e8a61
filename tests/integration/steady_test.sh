#!/usr/bin/env bash
# A connected pair: what a client wrote reads back, and both components end up equal byte for byte.
. "$(dirname "$0")/lib.sh"
MODE=${1:-fullsync}

connected_pair
client a --ops 3000 --depth 16 --connections 2
verify a
in_sync
role a init # a clean stop leaves nothing on its way
role b init
compare_disks
say "promoting the other node: it has everything too"
role b primary
verify b
say ok
