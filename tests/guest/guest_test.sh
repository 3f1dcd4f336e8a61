#!/usr/bin/env bash
# guest_test.sh BUILD [SCENARIO...]: runs scenarios of kernel devices in a guest (qemu, no KVM needed)
# and prints what they say. Without HAST_GUEST=1, qemu or the packages it is skipped: exit 77.
# The scenario systemd is a whole Debian with the package HAST_GUEST_PACKAGE, the others a busybox
# with the programs of BUILD.
set -euo pipefail
build=$(realpath "$1") here=$(dirname "$(realpath "$0")")
shift
skip() { echo "skipped: $*"; exit 77; }
[ "${HAST_GUEST:-}" = 1 ] || skip "guests take minutes; HAST_GUEST=1 or ./dev guest-test runs them"
for program in qemu-system-x86_64 busybox apt-get; do
  command -v "$program" > /dev/null || skip "$program is missing (./dev guest-test installs what is needed)"
done
[ "$(uname -m)" = x86_64 ] || skip "the guest is an x86_64"
folder=${HAST_GUEST_FOLDER:-$build/guest}

# image SCENARIO: makes the guest; `initrd` is its system and `boot` what its kernel is told.
image() {
  if [ "$1" = systemd ]; then
    [ -n "${HAST_GUEST_PACKAGE:-}" ] || skip "HAST_GUEST_PACKAGE names no package; ./dev guest-test makes one"
    [ "$(id -u)" = 0 ] || skip "only root can make a Debian"
    command -v debootstrap > /dev/null || skip "debootstrap is missing (./dev guest-test installs what is needed)"
    initrd=debian.initrd boot="systemd.show_status=no"
    "$here/debian_image.sh" "$HAST_GUEST_PACKAGE" "$folder"
  else
    initrd=busybox.initrd boot="scenario=$1"
    "$here/busybox_image.sh" "$build" "$folder"
  fi
}

console=$(mktemp)
trap 'rm -f "$console"' EXIT
status=0
# Without cx16: qemu 7.2 leaves its flags undefined, of which newer kernels die (double faults).
for scenario in ${*:-nbd_device}; do
  echo "== $scenario"
  image "$scenario"
  timeout "${HAST_GUEST_LIMIT:-900}" qemu-system-x86_64 -accel tcg -cpu max,-cx16 -smp 2 -m 2560 -nodefaults -no-reboot -display none \
    -serial stdio -kernel "$folder/vmlinuz" -initrd "$folder/$initrd" \
    -append "console=ttyS0 quiet panic=-1 $boot" < /dev/null > "$console" 2>&1 || echo "qemu ended with status $?"
  tr -d '\r' < "$console" | grep -E '^GUEST ' || true
  if [ "$(tr -d '\r' < "$console" | grep -c '^GUEST-PASSED$')" != 1 ]; then
    status=1
    echo "FAILED: $scenario; the end of its console:"
    tail -n 120 "$console"
  fi
done
exit $status
