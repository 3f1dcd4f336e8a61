#!/usr/bin/env bash
# hast-attach: a file system on the export of a primary, by nbdfuse and a loop device, and again on
# the other node. Where the kernel has NBD devices nbd-client is used instead.
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || skip "only root attaches devices"
[ -e /dev/fuse ] && [ -e /dev/loop-control ] || skip "no FUSE or no loop devices here"
for tool in nbdfuse fusermount3 losetup mkfs.ext4; do
  command -v $tool > /dev/null || skip "$tool is missing"
done
NAME=attach$$ # of the resource: /dev/hast is everybody's
write_config
sed -i "s/^  r0:/  $NAME:/" "$DIR/hast.yaml"
make_disks
for node in a b; do ctl $node create $NAME; done
export HAST_CONFIG=$DIR/hast.yaml HAST_FAILOVER_RUN=$DIR/run PATH=$BUILD:$PATH
attach() { "$HERE/../../contrib/linux/hast-attach" "$@"; }
for node in a b; do on_exit attach -d $NAME $node; done
on_exit umount "$DIR/mnt"

start a
start b
expect_status 1 attach $NAME a
grep -q "nbdfuse did not attach $NAME" "$DIR/out" || [ -e /dev/nbd0 ] || fail "no reason: $(cat "$DIR/out")"
ctl b role secondary $NAME
ctl a role primary $NAME
mkdir "$DIR/mnt"
device=$(attach $NAME a) || fail "not attached"
[ "$(readlink -f /dev/hast/$NAME)" = "$device" ] || fail "/dev/hast/$NAME is not $device"
say "attached as $device"
mkfs.ext4 -q /dev/hast/$NAME
mount /dev/hast/$NAME "$DIR/mnt"
head -c 3000000 /dev/urandom > "$DIR/mnt/file"
sha256sum < "$DIR/mnt/file" > "$DIR/sum"
umount "$DIR/mnt"
attach -d $NAME a
[ ! -e /dev/hast/$NAME ] || fail "the device is still there"

say "the other node has it"
ctl a role secondary $NAME
ctl b role primary $NAME
attach $NAME b > "$DIR/out"
mount /dev/hast/$NAME "$DIR/mnt"
sha256sum < "$DIR/mnt/file" | cmp - "$DIR/sum" || fail "another content"
umount "$DIR/mnt"
attach -d $NAME b
[ -z "$(losetup -n -O BACK-FILE | grep "$NAME" || true)" ] || fail "a loop device is left"

say "hastd's own ublk device is not taken away"
on_exit rm -f /dev/hast/$NAME
ln -s ../ublkb4095 /dev/hast/$NAME
attach -d $NAME b
[ -L /dev/hast/$NAME ] || fail "its link is gone"
say ok
