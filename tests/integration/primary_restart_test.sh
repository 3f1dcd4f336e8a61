#!/usr/bin/env bash
# hastd of the primary is restarted under clients that write: kill -9, and in order as a service manager
# does it. The clients come back by themselves, look at what had no answer, and send most of it again.
# They never get an error; nothing acknowledged is missing; what was in doubt is there whole or not at
# all, sector by sector, and stays as it was seen. INV-12. Then the same with clients of other people.
. "$(dirname "$0")/lib.sh"
NBD_PORT=$(free_port 1)
TRANSPORT=unix # or tcp, or the socket of a server in between
uri() {
  case $TRANSPORT in
    unix) echo "nbd+unix:///r0?socket=$DIR/$1.sock" ;;
    tcp) echo "nbd://127.0.0.1:$NBD_PORT/r0" ;;
    *) echo "nbd+unix:///?socket=$TRANSPORT" ;;
  esac
}

kill_it() { kill_node a; }
# As `systemctl restart`, and as an upgrade: a client may be there all the time.
stop_it() { stop_node a; }
restart_it() { stop_node a USR2; }
back() {
  start a
  role a primary
}

# several_restarts: in sync, while degraded, and in the middle of a resync.
several_restarts() {
  local how
  for how in kill_it restart_it stop_it; do
    some_writes 200
    $how
    back
    some_writes 200
    in_log_since_start a "uses the export" || fail "the client did not come back by itself"
  done
  kill_node b
  for how in restart_it stop_it kill_it; do
    some_writes 200
    $how
    back
  done
  some_writes 200
  start b
  role b secondary
  for how in kill_it restart_it; do
    $how
    back
    some_writes 50
  done
}
in_log_since_start() {
  awk -v text="$2" '/Role changed from init to primary/ { seen = 0 } index($0, text) { seen = 1 } END { exit !seen }' "$DIR/$1.log"
}

connected_pair
for TRANSPORT in unix tcp; do
  if [ $TRANSPORT = tcp ]; then
    sed -i "s|unix://$DIR/a.sock|tcp://127.0.0.1:$NBD_PORT|" "$DIR/hast.yaml"
    kill -HUP "${PID[a]}"
    wait_for a "frontend~127.0.0.1:$NBD_PORT" status=complete
  fi
  for depth in 16 2; do
    say "$TRANSPORT, depth $depth"
    start_client a --depth $depth --connections 2 --rate 3000 --reconnect 30
    several_restarts
    stop_client
    grep -E "came back ([89]|1[0-9]) times" "$DIR/client.out" > /dev/null || fail "not one return for each of 8 restarts"
    verify a
  done
done

# Clients of other people reach it over TCP ------------------------------------------------------------

in_sync
# restarts_under SOCKET: of a client that listens there for one of ours.
restarts_under() {
  local how
  TRANSPORT=$1 start_client a --depth 4
  for how in kill_it restart_it; do
    some_writes 300
    $how
    back
    some_writes 300
  done
  stop_client # not one error, and its own connection never broke
  verify a
}

if command -v nbdkit > /dev/null; then
  say "nbdkit in between: its retry filter opens the connection again and repeats the request"
  nbdkit -f -U "$DIR/between.sock" -P "$DIR/between.pid" --filter=retry nbd "uri=$(uri a)" \
    retries=60 retry-delay=1 retry-exponential=no > "$DIR/nbdkit.out" 2>&1 &
  PIDS+=("$!")
  expect_soon test -s "$DIR/between.pid"
  restarts_under "$DIR/between.sock"
else
  say "no nbdkit here: left out"
fi

if command -v qemu-nbd > /dev/null; then
  say "qemu in between: its reconnect-delay holds requests back"
  qemu-nbd --socket="$DIR/qemu.sock" --persistent --shared=4 --cache=none --discard=unmap --image-opts \
    "driver=nbd,server.type=inet,server.host=127.0.0.1,server.port=$NBD_PORT,export=r0,reconnect-delay=60" \
    > "$DIR/qemu.out" 2>&1 &
  PIDS+=("$!")
  expect_soon test -S "$DIR/qemu.sock"
  restarts_under "$DIR/qemu.sock"
else
  say "no qemu-nbd here: left out"
fi

say "the peer has the same, and nothing comes back later"
in_sync
verify a
role a init
role b init
compare_disks
role b primary
TRANSPORT=unix
verify b
say ok
