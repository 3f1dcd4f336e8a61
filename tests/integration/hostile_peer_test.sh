#!/usr/bin/env bash
# Hostile bytes at the peer port (weaknesses 20 to 24): only that connection is closed, the data stay
# what they were, the other resource replicates on under a client, memory does not grow. INV-8, INV-9.
. "$(dirname "$0")/lib.sh"
truncate -s 64M "$DIR/b2.disk"
# r1: a resource of node b alone, the target; r0 is the bystander.
EXTRA_RESOURCES="  r1:
    nodes:
      a: { local: $DIR/a2.disk, remote: none, frontend: { type: nbd, listen: \"unix://$DIR/a2.sock\" } }
      b: { local: $DIR/b2.disk, remote: \"tcp://127.0.0.3:$PORT\", frontend: { type: nbd, listen: \"unix://$DIR/b2.sock\" } }
"
connected_pair
ctl b create r1
role b secondary r1
start_client a --depth 4 --rate 500
some_writes 100
connects=$(log_count a "Connected to")
memory() { awk '/^VmRSS/ {print $2}' "/proc/${PID[b]}/status"; }
before=$(memory)
timeout 120 "$PY" "$TOOLS/hostile_peer.py" 127.0.0.2 "$PORT" 127.0.0.3 127.0.0.99 r1 || fail "hostile peer"
alive b
after=$(memory)
say "memory of b: $before KiB before, $after KiB after"
[ $((after - before)) -lt 65536 ] || [ "$BUILD_IS_SANITIZED" = 1 ] || fail "memory grew by $((after - before)) KiB"
some_writes 100
stop_client
wait_for a status=complete
[ "$(log_count a "Connected to")" = "$connects" ] || fail "the bystander lost its connection"
# Strangers are told of once and then counted (INV-13): they cannot fill the log.
[ "$(log_count b "closed:")" -ge 1 ] || fail "closed connections are not logged"
[ "$(log_count b "closed:")" -lt 200 ] || fail "strangers fill the log"
verify a
in_sync
role a init
role b init
compare_disks
say ok
