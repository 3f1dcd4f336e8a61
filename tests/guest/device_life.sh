# shellcheck shell=sh
# What every kind of kernel device goes through. The scenario has configured it, and says what is
# special about its kind: device_is_right, no_devices.

restart() {  # SIGNAL
  forget_slowest
  stop a "$1"
  [ -b /dev/hast/shared-a ] || fail "the device went with hastd ($1)"
  start a
  role a primary
  writers_go_on
  no_io_errors
  say "SIG$1: no error, slowest record $(slowest_ms)"
}

say "a primary has a device, a secondary none"
mkdir -p /dev/hast
ln -s ../nothing /dev/hast/shared-a      # left behind
ln -s ../zero /dev/hast/shared-a.new     # of another resource
start a
start b
role b secondary
role a primary
[ -b /dev/hast/shared-a ] || fail "no device"
[ -c /dev/hast/shared-a.new ] || fail "the device of another resource is gone"
[ ! -e /dev/hast/shared-b ] || fail "a secondary has a device"
device_is_right

say "a file system under load"
expect /sbin/mke2fs -q -t ext4 /dev/hast/shared-a
mkdir -p /mnt/a /mnt/b
expect mount -t ext4 -o discard /dev/hast/shared-a /mnt/a
start_writers /mnt/a 3
writers_go_on
say "slowest record so far: $(slowest_ms)"
wait_for 60 is_complete a
wait_for 60 is_synced a

say "hastd stops for a restart (SIGUSR2)"
for round in 1 2 3; do restart USR2; done

say "hastd is killed (SIGKILL)"
for round in 1 2 3; do restart KILL; done
stop_writers
[ ! -e /run/errors ] || fail "I/O errors: $(cat /run/errors)"

say "the roles change places"
wait_for 60 is_complete a
wait_for 60 is_synced a
expect umount /mnt/a
role a secondary
[ ! -e /dev/hast/shared-a ] || fail "the device is still there"
role b primary
expect /sbin/e2fsck -fn /dev/hast/shared-b
expect mount -t ext4 /dev/hast/shared-b /mnt/b
check_history /mnt/b
sha256sum < /mnt/b/bulk | cmp -s - /mnt/b/bulk.sum || fail "the bulk file has another sum"

say "the primary is killed and the other node takes over"
rm /mnt/b/records.*
start_writers /mnt/b 3
writers_go_on
wait_for 60 is_complete b
stop b KILL
role a primary
mkdir -p /mnt/a2
expect mount -t ext4 /dev/hast/shared-a /mnt/a2
check_history /mnt/a2
say "what b's clients still wait for fails when b is secondary"
start b
role b secondary
stop_writers
[ -e /run/errors ] || fail "nobody noticed that b's device is gone"
[ ! -e /dev/hast/shared-b ] || fail "b still has its device"
umount -l /mnt/b
wait_for 60 is_complete a

say "a hastd that stops takes its device along"
expect umount /mnt/a2
stop a TERM
[ ! -e /dev/hast/shared-a ] || fail "the device is still there"
wait_for 10 no_devices
stop b TERM
