#!/usr/bin/env bash
# The file system under a sparse local component is full: the client never gets an error, because the
# peer has every write; the log says what happened, once and not a thousand times; what was
# acknowledged reads back, also after the full node is gone. INV-11, INV-12.
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || skip "needs root to mount a small tmpfs"
mkdir "$DIR/small"
mount -t tmpfs -o size=8M tmpfs "$DIR/small" 2> /dev/null || skip "cannot mount a tmpfs here"
on_exit umount -l "$DIR/small"
DISK_a=$DIR/small/a.disk

connected_pair
client a --ops 400 --sizes 65536 --mix write=100 --depth 8 # 25 MiB: does not fit
[ "$(df --output=avail "$DIR/small" | tail -n 1)" -lt 64 ] || fail "the disk is not full: the check proves nothing"
alive a
in_log a "local component" || fail "the log does not tell"
in_log a "No space left" || fail "the log does not say why"
[ "$(log_count a 'local component failed')" -lt 100 ] || fail "$(log_count a 'local component failed') lines"
say "log: $(grep -m 1 -F 'local component' "$DIR/a.log")"
wait_for a role=primary status=degraded detached=true "statistics.write_errors>0"
verify a

say "there is room again: attached and completed"
mount -o remount,size=128M "$DIR/small"
ctl a attach r0 > "$DIR/out" || fail "attach"
wait_for a status=complete detached=false inconsistent=false resync=null
verify a
kill_node a
role b primary
verify b
say ok
