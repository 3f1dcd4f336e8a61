# shellcheck shell=sh
# frontend: {type: nbd-device} on a kernel that has NBD devices.

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

device_is_right() { [ "$(io_timeout)" = 5000 ] || fail "io_timeout: $(io_timeout)"; }
no_devices() { [ "$(ls -d /sys/block/nbd*/backend 2> /dev/null | wc -l)" = 0 ]; }
. /device_life.sh
