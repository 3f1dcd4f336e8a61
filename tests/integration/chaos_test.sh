#!/usr/bin/env bash
# A long life in random order: nodes die and return, also in the middle of a resync, both at once; the
# network is cut or silent; roles are handed over by plan and by death; a client writes through all. After each event
# every acknowledged byte is there, and now and then the components are compared.
#
#   chaos_test.sh BUILD_DIR [ROUNDS [SEED [MODE]]]     (a failure prints the line that replays it)
. "$(dirname "$0")/lib.sh"
ROUNDS=${1:-12} SEED=${2:-$RANDOM} MODE=${3:-}
RANDOM=$SEED
MODES=(fullsync memsync async)
[ -n "$MODE" ] || MODE=${MODES[RANDOM % 3]}
[ $((RANDOM % 3)) != 0 ] || THREADS=2
say "replay: $0 $BUILD $ROUNDS $SEED $MODE"
P=a S=b # primary and secondary of the moment

swap() {
  local old=$P
  P=$S S=$old
}
# The network between the nodes: a relay in each direction.
RELAYS=() TIMEOUT=2
for node in a b; do
  relay=$(free_port 1)
  [ $node = a ] || relay=$((relay + 2))
  peer=$(address_of "$(other $node)")
  "$PY" "$TOOLS/relay.py" "$peer:$relay" "$peer:$PORT" "$(address_of $node)" > "$DIR/relay.$node" 2>&1 &
  RELAYS+=("$!")
  PIDS+=("$!")
  expect_soon grep -q ready "$DIR/relay.$node"
  declare "REMOTE_$node=tcp://$peer:$relay"
done
network() { kill -"$1" "${RELAYS[@]}"; }

random_writes() { some_writes $((50 + RANDOM % 300)); }

secondary_dies() {
  kill_node $S
  random_writes
  local again=$((RANDOM % 3))
  while [ $again -gt 0 ]; do # back, and dead again somewhere in its resync
    again=$((again - 1))
    start $S
    role $S secondary
    sleep "0.$((RANDOM % 10))" # how far the resync gets is what varies
    kill_node $S
  done
  start $S
  role $S secondary
  random_writes
  stop_client
}

network_fails() {
  local cut=USR1 heal=USR2
  [ $((RANDOM % 2)) = 0 ] || cut=STOP heal=CONT # silent instead of cut
  network $cut
  wait_for $P status=degraded
  random_writes
  case $((RANDOM % 3)) in
    0) stop_client ;;
    1) # the primary dies alone with what the peer lacks, and comes back
      kill_node $P
      lost_client
      start $P
      role $P primary
      verify $P
      ;;
    2) # and the secondary dies as well
      kill_node $S
      random_writes
      stop_client
      start $S
      role $S secondary
      ;;
  esac
  network $heal
}

primary_dies_and_secondary_is_promoted() {
  [ "$MODE" != async ] || return 0
  kill_node $P
  lost_client
  role $S primary
  verify $S
  start $P
  role $P secondary
  swap
}

primary_dies_and_returns() {
  kill_node $P
  lost_client
  start $P
  role $P primary
}

both_die() {
  kill -9 "${PID[$P]}" "${PID[$S]}"
  kill_node $P
  kill_node $S
  lost_client
  start $S
  role $S secondary
  start $P
  role $P primary
}

hand_over() {
  stop_client
  role $P secondary
  role $S primary
  swap
}

daemons_restart() {
  stop_client
  stop_node $S
  start $S
  role $S secondary
  stop_node $P
  start $P
  role $P primary
}

connected_pair
for ((round = 1; round <= ROUNDS; ++round)); do
  start_client $P --depth $((1 + RANDOM % 16)) --rate 2000 --connections $((1 + RANDOM % 2))
  random_writes
  case $((RANDOM % 9)) in
    0 | 1) event=secondary_dies ;;
    2) event=primary_dies_and_secondary_is_promoted ;;
    3) event=primary_dies_and_returns ;;
    4) event=both_die ;;
    5) event=hand_over ;;
    6) event=daemons_restart ;;
    7 | 8) event=network_fails ;;
  esac
  say "round $round: $event, primary is $P"
  $event
  gone "$CLIENT" || stop_client
  verify $P
  in_sync $P
  if [ $((RANDOM % 3)) = 0 ] || [ $round = "$ROUNDS" ]; then
    role $P init
    role $S init
    compare_disks
    [ $((RANDOM % 2)) = 0 ] || swap
    role $S secondary
    role $P primary
    in_sync $P
    verify $P
  fi
done
say ok
