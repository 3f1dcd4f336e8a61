#!/usr/bin/env bash
# One of the two copies of the metadata is destroyed: the other is used, for every command and role,
# and the next write makes two again. Both destroyed: refused. INV-10.
. "$(dirname "$0")/lib.sh"
connected_pair
client a --ops 300
offset=$(ctl a dump r0 | awk '/localoff/ {print $2}')
ctl a dump r0 > "$DIR/before"
kill_node a
kill_node b

destroy() { dd if=/dev/urandom of="$DISK_a" bs=4096 seek=$(($1 / 4096)) count=1 conv=notrunc status=none; }
# The second copy: the last 4 KiB block before the data that carries the resource's name.
second=
for ((at = offset - 4096; at > 4096; at -= 4096)); do
  if dd if="$DISK_a" bs=4096 skip=$((at / 4096)) count=1 status=none | grep -qa resource; then second=$at; break; fi
done
[ -n "$second" ] || fail "no second copy between map and data"
say "data at $offset, second copy at $second"

destroy 0
ctl a dump r0 > "$DIR/after"
cmp "$DIR/before" "$DIR/after" || fail "dump tells something else from the second copy"
start a
role a primary
verify a
start b
role b secondary
in_sync
client a --ops 100
stop_node a
say "the first copy is whole again, so the second may go"
destroy "$second"
ctl a dump r0 > "$DIR/after" || fail "the first copy was not repaired"
start a
role a primary
in_sync
verify a
stop_node a
say "both gone: refused, with the cure"
destroy 0
destroy "$second"
second=$(for ((at = offset - 4096; at > 4096; at -= 4096)); do dd if="$DISK_a" bs=4096 skip=$((at / 4096)) count=1 status=none | grep -qa resource && echo $at; done || true)
[ -z "$second" ] || destroy "$second"
expect_status 255 ctl a dump r0
start a
status=0
ctl a role primary r0 > "$DIR/out" 2>&1 || status=$?
[ $status != 0 ] || fail "the role was taken without metadata"
grep -q "hastctl create" "$DIR/out" || fail "no cure in: $(cat "$DIR/out")"
say ok
