#!/usr/bin/env bash
# Hand-made requests that were sent to an original secondary: ours answers each as the original, or
# closes the connection where the original was unsafe (docs/protocol.md).
. "$(dirname "$0")/lib.sh"
[ -n "$(ls -d "$GOLDEN"/probe/*/ "${HAST_VECTORS:-$GOLDEN}"/probe/*/ 2> /dev/null)" ] || skip "no recorded probes"
COMPRESSION=none # as in the recordings
write_config
truncate -s 4M "$DISK_b"
ctl b create --layout original -e 128k r0
start b
role b secondary
"$PY" "$TOOLS/probe_secondary.py" 127.0.0.2 "$PORT" 127.0.0.1 127.0.0.9 || fail "probes"
alive b
wait_for b role=secondary
say ok
