# shellcheck shell=sh
# frontend: {type: ublk} on a kernel that has ublk devices.

say "without the driver there is a clear word"
configure '{ type: ublk }'
hastd -F -c /run/hast.yaml --node a > /run/out 2>&1
[ $? = 71 ] || fail "hastd did not refuse"
grep -q 'this kernel has no ublk devices; load the driver (modprobe ublk_drv' /run/out || fail "not said: $(cat /run/out)"
insmod /modules/ublk_drv.ko || fail "no driver"

device_is_right() { [ "$(cat /sys/block/ublkb*/queue/chunk_sectors)" = 256 ] || fail "chunk_sectors"; }
no_devices() { [ "$(ls -d /sys/class/ublk-char/ublkc* 2> /dev/null | wc -l)" = 0 ]; }
. /device_life.sh
