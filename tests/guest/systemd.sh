# shellcheck shell=sh
# Debian with systemd, the package and kernel devices: the unit with its drop-in for devices, a
# restart and a crash under load, and the targets for managers that start units. Node a is
# hastd.service, node b a unit of the test.
. /lib.sh
config=/etc/hast.yaml
usleep() { sleep 0.02; }
expect_word() { grep -q "$1" /run/out || fail "not said: $1; but: $(cat /run/out)"; }
is_active() { systemctl -q is-active "$1"; }
properties() { systemctl show --value -p "$2" "$1"; }
in_journal() {  # UNIT WORDS
  journalctl --sync
  journalctl -u "$1" --no-pager > /run/out
  expect_word "$2"
}
journalctl -f -n all --no-pager > /run/a.log 2>&1 &
: > /run/b.log

say "$(systemctl --version | head -n 1), $(uname -r)"
mkdir -p /srv/shared /etc/hast/failover /var/lib/hast
cat > /etc/hast.yaml << 'YAML'
nodes:
  a: { listen: tcp://127.0.0.1:8457, control: /run/hast/a.ctl }
  b: { listen: tcp://127.0.0.2:8457, control: /run/hast/b.ctl }
resources:
  shared:
    replication: fullsync
    frontend: { type: nbd-device }
    nodes:
      a: { local: /var/lib/hast/a.img, remote: tcp://127.0.0.2:8457, source: tcp://127.0.0.1 }
      b: { name: other, local: /var/lib/hast/b.img, remote: tcp://127.0.0.1:8457, source: tcp://127.0.0.2 }
YAML
for node in a b; do
  truncate -s 160M /var/lib/hast/$node.img
  expect ctl $node create shared
done
sed -i 's/^HASTD_OPTIONS=.*/HASTD_OPTIONS="--node a"/' /etc/default/hastd

say "without the drop-in a promotion says what is missing"
expect systemctl start hastd
ctl a role primary shared > /run/out 2>&1 && fail "it has a device without the right to make one"
cat /run/out
expect_word 'CAP_SYS_ADMIN'
expect systemctl stop hastd

say "with the drop-in it serves a device"
install -D /usr/share/doc/hast/examples/hastd-device.conf /etc/systemd/system/hastd.service.d/device.conf
expect systemctl daemon-reload
expect systemctl start hastd
expect systemd-run -q --unit=hastd-b -p KillSignal=SIGTERM hastd -F --node b
wait_for 20 ctl b status shared
role b secondary
role a primary
[ -b /dev/hast/shared ] || fail "no /dev/hast/shared"
[ "$(cat /sys/block/nbd0/queue/io_timeout)" = 5000 ] || fail "io_timeout: $(cat /sys/block/nbd0/queue/io_timeout)"
expect udevadm settle
udevadm info /dev/nbd0 > /run/out
expect_word 'UDISKS_IGNORE=1'
wait_for 60 is_complete a
wait_for 60 is_synced a

say "a file system under load"
expect mke2fs -q -t ext4 /dev/hast/shared
expect mount -t ext4 /dev/hast/shared /srv/shared
start_writers /srv/shared 2
writers_go_on

again() {  # what happened
  role a primary
  writers_go_on
  no_io_errors
  say "$1: no error, slowest record $(slowest_ms)"
  forget_slowest
}
forget_slowest
expect systemctl restart hastd
[ -b /dev/hast/shared ] || fail "the device went with hastd"
again "systemctl restart"
kill -9 "$(properties hastd MainPID)"
is_back() { is_active hastd && [ "$(properties hastd NRestarts)" = 1 ]; }
wait_for 30 is_back
wait_for 20 ctl a status shared
again "kill -9, restarted by systemd"
stop_writers
[ ! -e /run/errors ] || fail "I/O errors: $(cat /run/errors)"
expect umount /srv/shared
wait_for 60 is_complete a
expect ctl a role init shared
[ ! -e /dev/hast/shared ] || fail "role init leaves the device"

say "a manager starts and stops a target"
cat > /etc/hast/failover/shared.conf << 'CONF'
VOLUMES="shared /srv/shared ext4 noatime"
MEETING_LIMIT=1
NODE=a
CONF
cat > /etc/systemd/system/app.service << 'UNIT'
[Unit]
Requires=hast-promote@shared.service
After=hast-promote@shared.service
PartOf=hast-services@shared.target
[Service]
Type=exec
ExecStart=/bin/sh -c 'exec sleep infinity >> /srv/shared/log'
[Install]
WantedBy=hast-services@shared.target
UNIT
systemctl daemon-reload
expect systemctl enable -q app.service
expect systemctl start hast-services@shared.target
is_active app || fail "the service does not run: $(systemctl status app)"
mountpoint -q /srv/shared || fail "not mounted"
check_history /srv/shared
ctl a status shared > /run/out
expect_word 'primary'
expect systemctl stop hast-services@shared.target # returns at once: what it took along stops in order
is_demoted() { [ "$(properties hast-promote@shared ActiveState)" = inactive ]; }
wait_for 30 is_demoted
is_active app && fail "the service runs on"
mountpoint -q /srv/shared && fail "still mounted"
ctl a status shared > /run/out
expect_word 'secondary'
[ ! -e /dev/hast/shared ] || fail "a secondary has a device"

say "a promotion that is refused ends in a demotion"
role b primary
wait_for 20 sh -c "hastctl status --node a shared | grep -q complete"
sed -i 's/^MEETING_LIMIT.*/SESSION_LIMIT=2/' /etc/hast/failover/shared.conf
systemctl start hast-services@shared.target > /run/out 2>&1 && fail "two primaries"
in_journal hast-promote@shared 'is still connected after'
is_active app && fail "the service runs without its volume"
ctl a status shared > /run/out
expect_word 'secondary'

say "stopped for good"
expect ctl b role init shared
expect systemctl stop hastd-b
expect ctl a role init shared
expect systemctl stop hastd
[ "$(ls -d /sys/block/nbd*/backend 2> /dev/null | wc -l)" = 0 ] || fail "a device is left"
systemctl --failed --no-legend --plain | grep -v hast-promote > /run/out && fail "failed units: $(cat /run/out)"

say "the machine goes down while it serves: unmounted, then demoted, then hastd ends"
sed -i 's/^SESSION_LIMIT.*/MEETING_LIMIT=0/' /etc/hast/failover/shared.conf
cat > /root/between.sh << 'SH'
exec > /dev/ttyS0 2>&1
if mountpoint -q /srv/shared; then echo "GUEST still mounted"; exit; fi
hastctl status --node a shared | tee /run/out
grep -q secondary /run/out || { echo "GUEST not demoted"; exit; }
echo "GUEST done"
echo "GUEST-PASSED"
SH
cat > /etc/systemd/system/between.service << 'UNIT'
[Unit]
After=hastd.service
Before=hast-group@shared.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
ExecStop=/bin/sh /root/between.sh
UNIT
systemctl daemon-reload
expect systemctl start hastd hast-group@shared between
expect /usr/libexec/hast/hast-failover promote shared
mountpoint -q /srv/shared || fail "not mounted"
systemctl poweroff
