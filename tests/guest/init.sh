#!/bin/busybox sh
# The guest's first process: makes a system of what busybox_image.sh packed, runs one scenario, powers off.
# What is between the GUEST lines of the console is read by guest_test.sh.
/bin/busybox --install -s /bin
export PATH=/bin:/sbin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o mode=755 run /run
ip link set lo up
hostname guest
echo 4 > /proc/sys/kernel/printk
scenario=$(sed -n 's/.*scenario=\([a-z_]*\).*/\1/p' /proc/cmdline)
. /lib.sh
. "/$scenario.sh"
say "done"
[ -e /run/failed ] || echo "GUEST-PASSED"
poweroff -f
