#!/usr/bin/env bash
# Roles change at once though the peer is dead, frozen, or unreachable: promotion serves clients
# immediately and demotion does not wait for answers that never come (weaknesses 26, 27). INV-12.
. "$(dirname "$0")/lib.sh"
TIMEOUT=20

# quickly ROLE NODE: in force within five seconds.
quickly() {
  local from=$EPOCHREALTIME
  role "$2" "$1"
  local took=$(((${EPOCHREALTIME/./} - ${from/./}) / 1000))
  say "$2 became $1 in $took ms"
  [ $took -lt 5000 ] || fail "role $1 took $took ms"
}

connected_pair
client a --ops 200
say "b is frozen, with requests of a client waiting for it"
kill -STOP "${PID[b]}"
start_client a --errors-ok --depth 4
expect_soon test "$(field a queues.recv)" -ge 0
quickly init a
wait "$CLIENT" || true
quickly primary a
"$PY" -c "import nbd; h = nbd.NBD(); h.connect_uri('$(uri a)'); h.pread(4096, 0)" || fail "not served at once"
quickly secondary a
kill -CONT "${PID[b]}"

say "b is dead"
kill_node b
quickly primary a
client a --ops 100 --errors-ok
quickly init a

say "b's address does not answer at all (packets to it vanish)"
REMOTE_a=tcp://192.0.2.1:$PORT # TEST-NET: nobody is there
write_config
kill -HUP "${PID[a]}"
wait_for a "remoteaddr=$REMOTE_a"
quickly primary a
client a --ops 100 --errors-ok
quickly secondary a
stop_node a
say ok
