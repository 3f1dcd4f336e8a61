#!/usr/bin/env bash
# A secondary that lies, in the handshake and in its replies: the primary closes that connection,
# stays primary and serves its client, and its memory does not grow (weaknesses 17, 22). INV-9, INV-12.
. "$(dirname "$0")/lib.sh"
MODE=memsync TIMEOUT=2
write_config
truncate -s 64M "$DISK_a"
ctl a create r0
start a
read -r size extent <<< "$(ctl a dump r0 | awk '/datasize|extentsize/ {printf "%s ", $2}')"
memory() { awk '/^VmHWM/ {print $2}' "/proc/${PID[a]}/status"; }
role a primary
before=$(memory)
role a init
timeout 150 "$PY" "$TOOLS/hostile_secondary.py" 127.0.0.2 "$PORT" "$DIR/a.ctl" "$(uri a)" "$size" "$extent" || fail "hostile secondary"
alive a
say "memory of a: $before KiB at most before, $(memory) KiB after"
[ $(($(memory) - before)) -lt 65536 ] || [ "$BUILD_IS_SANITIZED" = 1 ] || fail "memory grew"
lines=$(grep -vc DEBUG "$DIR/a.log")
[ "$lines" -lt 500 ] || fail "$lines lines in the log"
grep -q $'\x1b' "$DIR/a.log" && fail "a peer's control characters are in the log"
say "and with an honest secondary"
truncate -s 64M "$DISK_b"
ctl b create r0
start b
role b secondary
role a primary
in_sync
compare_disks
say ok
