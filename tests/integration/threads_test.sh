#!/usr/bin/env bash
# threads: 2 with two resources under load, an outage and a failover: the same promises.
. "$(dirname "$0")/lib.sh"
THREADS=2
truncate -s 64M "$DIR/a2.disk" "$DIR/b2.disk"
EXTRA_RESOURCES="  r1:
    replication: memsync
    nodes:
      a: { local: $DIR/a2.disk, remote: \"tcp://127.0.0.2:$PORT\", source: tcp://127.0.0.1, frontend: { type: nbd, listen: \"unix://$DIR/a2.sock\" } }
      b: { local: $DIR/b2.disk, remote: \"tcp://127.0.0.1:$PORT\", source: tcp://127.0.0.2, frontend: { type: nbd, listen: \"unix://$DIR/b2.sock\" } }
"
connected_pair
ctl a create r1
ctl b create r1
role b secondary r1
role a primary r1
RESOURCE=r1 wait_for a status=complete
SECOND="nbd+unix:///r1?socket=$DIR"
"$PY" "$TOOLS/nbd_history.py" run "$SECOND/a2.sock" --history "$DIR/history1" --mix "$MIX" --depth 16 \
  --connections 2 > "$DIR/client1.out" 2>&1 &
CLIENT1=$!
PIDS+=("$CLIENT1")
start_client a --depth 16 --connections 2
some_writes 1000
kill_node b
wait_for a status=degraded
some_writes 500
start b
role b secondary all
in_sync
RESOURCE=r1 in_sync
some_writes 1000
kill_node a
lost_client
wait "$CLIENT1" || [ $? = 3 ] || fail "$(cat "$DIR/client1.out")"
say "client of r1: $(cat "$DIR/client1.out")"
role b primary all
verify b
"$PY" "$TOOLS/nbd_history.py" verify "$SECOND/b2.sock" --history "$DIR/history1" || fail "r1"
start a
role a secondary all
in_sync b
RESOURCE=r1 in_sync b
stop_node b
stop_node a
compare_disks
say ok
