#!/usr/bin/env bash
# An address somebody else listens on: hastd does not start, and says which, with the original's
# exit status. So with its control socket's folder, its pidfile and a second hastd.
. "$(dirname "$0")/lib.sh"
write_config
make_disks
ctl a create r0
start a

# not_started STATUS WORDS...: a second hastd ends with the status and one message with the words.
not_started() {
  local wanted=$1 status=0 word
  shift
  timeout 20 "$BUILD/hastd" -F -c "$DIR/second.yaml" --node a > "$DIR/out" 2>&1 || status=$?
  [ $status = "$wanted" ] || fail "status $status instead of $wanted: $(cat "$DIR/out")"
  for word; do grep -qF -- "$word" "$DIR/out" || fail "no '$word' in: $(cat "$DIR/out")"; done
  say "not started: $(tail -n 1 "$DIR/out")"
}

sed "s|$DIR/a.ctl|$DIR/second.ctl|; s|$DIR/a.sock|$DIR/second.sock|" "$DIR/hast.yaml" > "$DIR/second.yaml"
not_started 71 "127.0.0.1:$PORT" "listens on the address"

say "a stale control socket is no obstacle, a live one is"
kill_node a
[ -S "$DIR/a.ctl" ] || fail "no stale socket left behind: the check proves nothing"
start a
answers a
sed "s|127.0.0.1:$PORT|127.0.0.1:$((PORT + 1))|; s|$DIR/a.sock|$DIR/second.sock|" "$DIR/hast.yaml" > "$DIR/second.yaml"
not_started 71 "$DIR/a.ctl"
answers a || fail "the first hastd lost its control socket"

say "the address of the export"
sed "s|127.0.0.1:$PORT|127.0.0.1:$((PORT + 1))|; s|$DIR/a.ctl|$DIR/second.ctl|" "$DIR/hast.yaml" > "$DIR/second.yaml"
not_started 71 "$DIR/a.sock"
sed "s|$DIR/a.ctl|$DIR/hast.yaml/ctl|; s|127.0.0.1:$PORT|127.0.0.1:$((PORT + 1))|; s|$DIR/a.sock|$DIR/second.sock|" \
  "$DIR/hast.yaml" > "$DIR/second.yaml"
not_started 71 "$DIR/hast.yaml/ctl"
alive a
say ok
