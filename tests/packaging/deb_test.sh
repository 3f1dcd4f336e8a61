#!/usr/bin/env bash
# The Debian package on a clean Debian 12: it installs with its dependencies, its programs run, its
# unit works under a booted systemd with the sandbox on, it refuses to go while it serves a device,
# and it leaves configuration and data behind when it goes.
#
#   usage: deb_test.sh PACKAGE.deb
#
# Needs root, debootstrap and the package sources apt is configured with here; systemd-nspawn for
# the part under systemd, which is left out, with a word, where it is missing. ./dev package-test
# builds the package and runs this.
set -euo pipefail

. "$(dirname "$0")/../tools/clean_debian.sh"
DEB=$(realpath "${1:?usage: $0 PACKAGE.deb}")
DIR=$(mktemp -d "${TMPDIR:-/tmp}/hast-deb.XXXXXX")
ROOTFS=$DIR/root
MANAGER='' NSPAWN=''

say() { echo "[deb_test] $*"; }
fail() { echo "[deb_test] FAILED: $*" >&2; exit 1; }

leave() {
  local status=$?
  trap - EXIT
  set +e
  [ "$status" = 0 ] || { tail -n 30 "$DIR"/*.log; } >&2
  [ -z "$MANAGER" ] || kill -9 "$MANAGER" # the container's init: everything in it goes too
  [ -z "$NSPAWN" ] || { kill "$NSPAWN"; wait "$NSPAWN"; }
  umount "$ROOTFS/proc" 2> /dev/null
  mountpoint -q "$ROOTFS/proc" || rm -rf --one-file-system "$DIR"
  exit "$status"
} 2> /dev/null
trap leave EXIT
trap 'exit 130' INT TERM HUP

[ "$(id -u)" = 0 ] || fail "only root can make a chroot"
command -v debootstrap > /dev/null || fail "debootstrap is missing; ./dev package-test installs it"

# until_true SECONDS COMMAND...
until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@" > /dev/null 2>&1; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.1
  done
}

inside() { chroot "$ROOTFS" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
apt() { inside apt-get -y -qq --no-install-recommends "$@" >> "$DIR/apt.log" 2>&1; }

say "a clean Debian 12"
clean_debian "$ROOTFS" > "$DIR/debootstrap.log" 2>&1 || fail "debootstrap"
mount -t proc proc "$ROOTFS/proc"
cp "$DEB" "$ROOTFS/root/hast.deb"
apt update || fail "apt-get update"
apt install systemd-sysv dbus || fail "systemd"

say "install"
apt install /root/hast.deb || fail "the package does not install"
inside dpkg -s hast | grep -q '^Status: install ok installed' || fail "not installed"
inside getent group hast > /dev/null || fail "no group hast"
[ "$(stat -c '%a %G' "$ROOTFS/run/hast")" = "750 hast" ] || [ "$(inside stat -c '%a %G' /run/hast)" = "750 hast" ] \
  || fail "/run/hast: $(inside ls -ld /run/hast)"
[ "$(inside hastd --version)" = "hastd $(inside dpkg-query -f '${Version}' -W hast)" ] || fail "hastd --version"
for file in /lib/systemd/system/hastd.service /usr/share/man/man8/hastd.8 /usr/share/doc/hast/examples/hast.yaml \
  /usr/share/doc/hast/copyright; do
  inside test -s "$file" || fail "$file is missing"
done
inside dpkg-query -W -f '${Conffiles}' hast | grep -q /etc/default/hastd || fail "/etc/default/hastd is no conffile"
inside systemd-analyze verify --man=no /lib/systemd/system/hastd.service || fail "hastd.service"

cat > "$ROOTFS/etc/hast.yaml" << 'YAML'
listen: tcp://127.0.0.1
resources:
  shared:
    local: /srv/shared.img
    nodes: { here: { remote: none } }
YAML
truncate -s 64M "$ROOTFS/srv/shared.img"
sed -i 's/^HASTD_OPTIONS=.*/HASTD_OPTIONS="--node here"/' "$ROOTFS/etc/default/hastd"
ctl() { "$RUN" hastctl "$1" --node here "${@:2}"; }

serves() {  # by whatever runs hastd
  ctl role primary shared || fail "role primary"
  ctl status shared | grep -q '^shared.degraded primary' || fail "$(ctl status shared)"
  [ "$("$RUN" stat -c '%a %G' /run/hast/shared.sock)" = "660 hast" ] || fail "$("$RUN" ls -l /run/hast)"
}

say "run in the chroot"
RUN=inside
ctl create shared || fail "create"
# A network name space: the port belongs to the test alone.
unshare -n -- sh -c "ip link set lo up; exec chroot $ROOTFS hastd -F --node here" > "$DIR/hastd.log" 2>&1 &
HASTD=$!
until_true 20 inside hastctl status --node here || fail "hastd does not answer"
inside chgrp hast /run/hast # a chroot's postinst may have had no systemd-tmpfiles to make it
ctl role primary shared || fail "role primary"
ctl status shared | grep -q '^shared.degraded primary' || fail "$(ctl status shared)"
say "not removed while it is primary"
if apt remove hast; then fail "removed under its users"; fi
grep -q "this node is primary for: shared" "$DIR/apt.log" || fail "no word why: $(tail -n 5 "$DIR/apt.log")"
inside test -x /usr/sbin/hastd || fail "hastd is gone"
kill -TERM "$HASTD"
wait "$HASTD" || fail "hastd ended with status $?"

under_systemd() {
  say "run under systemd"
  umount "$ROOTFS/proc"
  rm "$ROOTFS/usr/sbin/policy-rc.d"
  systemd-nspawn -q -D "$ROOTFS" --boot --private-network --register=no --keep-unit --console=pipe \
    > "$DIR/nspawn.log" 2>&1 < /dev/null &
  NSPAWN=$!
  booted() { MANAGER=$(pgrep -P "$NSPAWN" -x systemd); }
  until_true 30 booted || fail "systemd does not start"
  RUN=container
  until_true 60 container systemctl is-active hastd || fail "$(container systemctl --no-pager status hastd)"
  serves
  container systemctl reload hastd || fail "reload"
  container journalctl -u hastd --no-pager | grep -q "Configuration reloaded" || fail "not reloaded"
  ctl status shared | grep -q primary || fail "a reload changed the role"
  container sh -c 'kill -9 "$(systemctl show -p MainPID --value hastd)"'
  restarted() { [ "$(container systemctl show -p NRestarts --value hastd)" = 1 ] && container systemctl is-active hastd; }
  until_true 20 restarted || fail "not restarted after a crash"
  serves
  container sh -c 'kill -STOP "$(systemctl show -p MainPID --value hastd)"'
  say "a hanging hastd is found by the watchdog (30 s)"
  watchdog() { [ "$(container systemctl show -p NRestarts --value hastd)" = 2 ] && container systemctl is-active hastd; }
  until_true 60 watchdog || fail "the watchdog did not restart it"
  serves
  say "upgrade: the running daemon stays"
  local pid
  pid=$(container systemctl show -p MainPID --value hastd)
  container dpkg -i /root/hast.deb > "$DIR/upgrade.log" 2>&1 || fail "dpkg -i"
  [ "$(container systemctl show -p MainPID --value hastd)" = "$pid" ] || fail "restarted by an upgrade"
  ctl role init all
  say "remove and purge"
  container apt-get -y -qq remove hast > "$DIR/remove.log" 2>&1 || fail "remove"
  container systemctl is-active hastd > /dev/null && fail "hastd runs on"
  container apt-get -y -qq purge hast > "$DIR/purge.log" 2>&1 || fail "purge"
  kill -9 "$MANAGER"
  wait "$NSPAWN" || true
  MANAGER='' NSPAWN=''
}
container() { nsenter -t "$MANAGER" -m -u -i -n -p -r -- "$@"; }

before=$(sha256sum < "$ROOTFS/srv/shared.img")
if command -v systemd-nspawn > /dev/null; then
  under_systemd
  before=$(sha256sum < "$ROOTFS/srv/shared.img")
else
  say "left out: systemd-nspawn is missing, so nothing was run under systemd"
  apt remove hast || fail "remove"
  apt purge hast || fail "purge"
fi
[ ! -e "$ROOTFS/usr/sbin/hastd" ] && [ ! -e "$ROOTFS/etc/default/hastd" ] || fail "purge left files"
[ -s "$ROOTFS/etc/hast.yaml" ] || fail "the configuration is gone"
[ "$before" = "$(sha256sum < "$ROOTFS/srv/shared.img")" ] || fail "the data changed"
say "install again: the data are still the resource's"
mountpoint -q "$ROOTFS/proc" || mount -t proc proc "$ROOTFS/proc"
apt install /root/hast.deb || fail "the second installation"
RUN=inside
ctl dump shared | grep -q 'datasize' || fail "$(ctl dump shared)"
say ok
