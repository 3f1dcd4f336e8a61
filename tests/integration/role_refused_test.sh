#!/usr/bin/env bash
# A component that cannot be used: the role is refused, hastctl and the log say why in one clear
# message each, the role stays init, and the daemon goes on.
. "$(dirname "$0")/lib.sh"
DISK_a=$DIR/elsewhere/a.disk # not there yet
write_config
truncate -s "$SIZE" "$DISK_b"
start a

# refused NODE WORDS...: role primary fails with a message that has all the words.
refused() {
  local node=$1 status=0 word
  shift
  ctl "$node" role primary r0 > "$DIR/out" 2>&1 || status=$?
  [ $status != 0 ] || fail "the role was taken"
  for word; do grep -qi -- "$word" "$DIR/out" || fail "no '$word' in: $(cat "$DIR/out")"; done
  [ "$(grep -c . "$DIR/out")" -le 2 ] || fail "more than one message: $(cat "$DIR/out")"
  [ "$(field "$node" role)" = init ] || fail "the role is $(field "$node" role)"
  alive "$node"
  say "refused: $(tail -n 1 "$DIR/out")"
}

refused a "$DISK_a" "does not exist"
in_log a "refused" || fail "not in the log"
[ "$(log_count a refused)" = 1 ] || fail "logged $(log_count a refused) times"

mkdir "$DIR/elsewhere"
: > "$DISK_a"
refused a "too small"
truncate -s "$SIZE" "$DISK_a"
refused a "no HAST metadata" "hastctl create"

# Foreign: it belongs to another resource.
sed 's/^  r0:/  other:/' "$DIR/hast.yaml" > "$DIR/other.yaml"
"$BUILD/hastctl" create -c "$DIR/other.yaml" --node a other
refused a "another resource" "other"

# Garbage where the metadata should be.
head -c 4096 /dev/urandom | dd of="$DISK_a" bs=4096 conv=notrunc status=none
truncate -s 0 "$DISK_a" && head -c 65536 /dev/urandom > "$DISK_a" && truncate -s "$SIZE" "$DISK_a"
refused a "metadata"

# Shrunk after create.
rm "$DISK_a"
truncate -s "$SIZE" "$DISK_a"
ctl a create r0
truncate -s 4M "$DISK_a"
refused a "too small"

# Locked by another process.
truncate -s "$SIZE" "$DISK_a"
(exec 9< "$DISK_a" && flock 9 && exec sleep 1000) &
HOLDER=$!
PIDS+=("$HOLDER")
locked() { ! flock -n "$DISK_a" true; }
expect_soon locked
refused a "in use"
kill "$HOLDER"
expect_soon flock -n "$DISK_a" true

# A directory.
sed "s|$DISK_a|$DIR/elsewhere|" "$DIR/hast.yaml" > "$DIR/x" && mv "$DIR/x" "$DIR/hast.yaml"
kill -HUP "${PID[a]}"
wait_for a "localpath=$DIR/elsewhere"
refused a "cannot hold a resource"
write_config
kill -HUP "${PID[a]}"
wait_for a "localpath=$DISK_a"

# In the end nothing stands in the way.
role a primary
wait_for a role=primary status=degraded
say ok
