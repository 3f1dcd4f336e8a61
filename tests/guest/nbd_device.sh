# shellcheck shell=sh
# frontend: {type: nbd-device} on a kernel that has NBD devices.

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

say "without the driver there is a clear word"
configure '{ type: nbd-device }'
hastd -F -c /run/hast.yaml --node a > /run/out 2>&1
[ $? = 71 ] || fail "hastd did not refuse"
grep -q 'this kernel has no NBD devices; load the driver (modprobe nbd)' /run/out || fail "not said: $(cat /run/out)"
insmod /modules/nbd.ko

say "a device that somebody else has is left as it is"
io_timeout() { cat /sys/block/nbd0/queue/io_timeout; }
configure '{ type: nbd-device, device: /dev/nbd0, connections: 2 }'
start a
start b
role b secondary
role a primary
[ "$(io_timeout)" = 30000 ] || fail "io_timeout: $(io_timeout)"
wait_for 60 is_synced a
stop b TERM
sed -i 's/, connections: 2//' /run/hast.yaml # with one, hastd sets the time
start b
ctl b role primary shared > /run/out 2>&1 && fail "b has a's device"
grep -q "/dev/nbd0 is somebody else's" /run/out || fail "not said: $(cat /run/out)"
[ "$(io_timeout)" = 30000 ] || fail "b set the io_timeout of a's device: $(io_timeout)"
stop a TERM
stop b TERM
configure '{ type: nbd-device }'

say "a primary has a device, a secondary none"
ln -s ../nothing /dev/hast/shared-a      # left behind
ln -s ../zero /dev/hast/shared-a.new     # of another resource
start a
start b
role b secondary
role a primary
[ -b /dev/hast/shared-a ] || fail "no device"
[ -c /dev/hast/shared-a.new ] || fail "the device of another resource is gone"
[ ! -e /dev/hast/shared-b ] || fail "a secondary has a device"
[ "$(io_timeout)" = 5000 ] || fail "io_timeout: $(io_timeout)"

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
wait_for 10 sh -c '[ "$(ls -d /sys/block/nbd*/backend 2> /dev/null | wc -l)" = 0 ]'
stop b TERM
