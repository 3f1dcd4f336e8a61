#!/usr/bin/env bash
# guest_test.sh BUILD [SCENARIO...]: runs scenarios of kernel devices in a guest (qemu, no KVM needed)
# and prints what they say. Without HAST_GUEST=1, qemu or the packages it is skipped: exit 77.
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
"$here/image.sh" "$build" "$folder"

console=$(mktemp)
trap 'rm -f "$console"' EXIT
status=0
for scenario in ${*:-nbd_device}; do
  echo "== $scenario"
  timeout "${HAST_GUEST_LIMIT:-900}" qemu-system-x86_64 -accel tcg -cpu max -smp 2 -m 1536 -nodefaults -no-reboot -display none \
    -serial stdio -kernel "$folder/vmlinuz" -initrd "$folder/initrd" \
    -append "console=ttyS0 quiet panic=-1 scenario=$scenario" < /dev/null > "$console" 2>&1 || echo "qemu ended with status $?"
  tr -d '\r' < "$console" | grep -E '^GUEST ' || true
  if [ "$(tr -d '\r' < "$console" | grep -c '^GUEST-PASSED$')" != 1 ]; then
    status=1
    echo "FAILED: $scenario; the end of its console:"
    tail -n 120 "$console"
  fi
done
exit $status
