#!/usr/bin/env bash
# The life of the process: TERM, INT and USR2 stop it cleanly, also as daemon; the pidfile is locked and
# names the process; daemon mode detaches; a second hastd is refused with exit status 75.
. "$(dirname "$0")/lib.sh"
write_config
make_disks
ctl a create r0
ctl b create r0

for signal in TERM INT USR2; do
  start a
  role a primary
  start_client a --errors-ok
  some_writes 100
  stop_node a "$signal"
  wait "$CLIENT" || [ $? = 3 ] || fail "the client was not disconnected"
  [ ! -S "$DIR/a.ctl" ] || fail "the control socket is left behind"
done
start a
role a primary
verify a
stop_node a

say "daemon mode"
"$BUILD/hastd" -c "$DIR/hast.yaml" --node a < /dev/null > "$DIR/daemon.out" 2>&1 || fail "status $?: $(cat "$DIR/daemon.out")"
expect_soon test -s "$DIR/a.pid"
DAEMON=$(cat "$DIR/a.pid")
PIDS+=("$DAEMON")
expect_soon ctl a status
[ -d "/proc/$DAEMON" ] || fail "the pidfile names no process"
[ "$(awk '{print $6}' "/proc/$DAEMON/stat")" = "$DAEMON" ] \
  || [ "$(awk '{print $7}' "/proc/$DAEMON/stat")" = 0 ] || fail "it has a controlling terminal"
for fd in 0 1 2; do
  [ "$(readlink "/proc/$DAEMON/fd/$fd")" = /dev/null ] || fail "descriptor $fd is $(readlink "/proc/$DAEMON/fd/$fd")"
done
[ "$(readlink "/proc/$DAEMON/cwd")" = / ] || fail "its working directory is $(readlink "/proc/$DAEMON/cwd")"
[ "$(stat -c %a "$DIR/a.pid")" = 600 ] || fail "the pidfile's mode is $(stat -c %a "$DIR/a.pid")"

say "a second one is refused"
expect_status 75 timeout 10 "$BUILD/hastd" -F -c "$DIR/hast.yaml" --node a -P "$DIR/a.pid"
grep -q "$DAEMON" "$DIR/out" || fail "the refusal does not name the process: $(cat "$DIR/out")"
expect_status 75 timeout 10 "$BUILD/hastd" -c "$DIR/hast.yaml" --node a
kill -0 "$DAEMON" || fail "the first one did not survive it"

role a primary
client a --ops 50
kill -TERM "$DAEMON"
expect_soon gone "$DAEMON"
[ ! -e "$DIR/a.pid" ] || fail "the pidfile is left behind"

say "wrong words and files"
expect_status 64 "$BUILD/hastd" -x
grep -q 'hastd: \[-dFh\] \[-c config\] \[-P pidfile\]' "$DIR/out" || fail "no usage: $(cat "$DIR/out")"
expect_status 64 "$BUILD/hastd" -h
expect_status 72 "$BUILD/hastd" -F -c "$DIR/nosuch.yaml"
grep -q "nosuch.yaml" "$DIR/out" || fail "the message does not name the file"
echo "resources: { r0: { locall: /x } }" > "$DIR/bad.yaml"
expect_status 78 "$BUILD/hastd" -F -c "$DIR/bad.yaml"
grep -q "bad.yaml:1:.*local" "$DIR/out" || fail "no place or no nearest key: $(cat "$DIR/out")"
expect_status 78 "$BUILD/hastd" -F -c "$DIR/hast.yaml" --node nobody

if [ "$(uname)" = Linux ]; then
  say "a front-end that this system does not have"
  sed 's/frontend: *{[^}]*}/frontend: {type: ggate}/' "$DIR/hast.yaml" > "$DIR/gate.yaml"
  grep -q ggate "$DIR/gate.yaml" || fail "the configuration has no frontend line to replace"
  expect_status 71 "$BUILD/hastd" -F -c "$DIR/gate.yaml" --node a
  grep -q "r0: no GEOM gate for /dev/hast/r0 on Linux" "$DIR/out" || fail "not said: $(cat "$DIR/out")"
  if ! grep -qs '^nbd ' /proc/modules && [ ! -e /sys/block/nbd0 ]; then
    sed -i 's/ggate/nbd-device/' "$DIR/gate.yaml"
    expect_status 71 "$BUILD/hastd" -F -c "$DIR/gate.yaml" --node a
    grep -q "resource r0: this kernel has no NBD devices; load the driver (modprobe nbd)" "$DIR/out" \
      || fail "not said: $(cat "$DIR/out")"
  fi
  if [ ! -e /dev/ublk-control ]; then
    sed -i 's/type: [a-z-]*/type: ublk/' "$DIR/gate.yaml"
    expect_status 71 "$BUILD/hastd" -F -c "$DIR/gate.yaml" --node a
    grep -q "resource r0: this kernel has no ublk devices; load the driver (modprobe ublk_drv" "$DIR/out" \
      || fail "not said: $(cat "$DIR/out")"
  fi
fi
say ok
