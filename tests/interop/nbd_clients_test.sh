#!/usr/bin/env bash
# Other people's NBD clients against the NBD front-end over memory: nbdinfo, nbdcopy, libnbd in
# Python, qemu-img, qemu-io, fio, nbd-client. Usage: nbd_clients_test.sh NBD_RAM_SERVER
# A client that is not installed is skipped, loudly; 77 if none is there at all.
set -euo pipefail

SERVER=$1
HERE=$(cd "$(dirname "$0")" && pwd)
DIR=$(mktemp -d "${TMPDIR:-/tmp}/hast-interop-XXXXXX")
PIDS=()
RAN=0

finish() {
  for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$DIR"
}
trap finish EXIT

say() { printf '%s\n' "$*"; }
fail() {
  say "FAILED: $*"
  tail -n 20 "$DIR"/*.log 2>/dev/null || true
  exit 1
}

# start NAME ADDRESS SIZE [WORDS...]: sets LOCATION and PID.
start() {
  local name=$1
  shift
  "$SERVER" "$@" > "$DIR/$name.location" 2> "$DIR/$name.log" &
  PID=$!
  PIDS+=("$PID")
  for _ in $(seq 200); do
    LOCATION=$(cat "$DIR/$name.location")
    [ -n "$LOCATION" ] && return
    kill -0 "$PID" 2>/dev/null || break
    sleep 0.05
  done
  fail "$name did not start: $(cat "$DIR/$name.log")"
}

# needs TOOL: false, and a loud line, if it is missing.
needs() {
  if ! command -v "$1" > /dev/null; then
    say "SKIPPED: $1 is not installed"
    return 1
  fi
  RAN=$((RAN + 1))
  say "== $1"
}

expect() { # expect FILE WORDS...: every word is in the file
  local file=$1 word
  shift
  for word in "$@"; do
    grep -qF -- "$word" "$file" || fail "\"$word\" is missing in: $(cat "$file")"
  done
}

start main "unix://$DIR/main.sock" 64m shared
URI=$LOCATION
MAIN=$PID
start closed "unix://$DIR/closed.sock" 64m shared withdrawn
CLOSED=$LOCATION
start tcp tcp4://127.0.0.1 64m shared slots=8
TCP=$LOCATION
TCP_PORT=$(sed -n 's|nbd://127.0.0.1:\([0-9]*\)/.*|\1|p' "$DIR/tcp.location")
head -c 64M /dev/urandom > "$DIR/random"

if needs nbdinfo; then
  nbdinfo "$URI" > "$DIR/out"
  expect "$DIR/out" "export-size: 67108864" "can_multi_conn: true" "can_fua: true" \
    "can_flush: true" "can_trim: true" "can_zero: true" "can_df: true" "can_fast_zero: false" \
    "is_read_only: false" "block_size_minimum: 512" "block_size_preferred: 4096" \
    "block_size_maximum: 33554432" "structured packets"
  [ "$(nbdinfo --size "$URI")" = 67108864 ] || fail "nbdinfo --size"
  nbdinfo --list "nbd+unix:///?socket=$DIR/main.sock" > "$DIR/out"
  expect "$DIR/out" 'export="shared"' "memory of nbd_ram_server"
  nbdinfo --json "$URI" > "$DIR/out"
  python3 - "$DIR/out" << 'PY' || fail "nbdinfo --json"
import json, sys
export = json.load(open(sys.argv[1]))["exports"][0]
assert export["export-name"] == "shared" and export["export-size"] == 64 << 20, export
PY
  if LIBNBD_DEBUG=1 nbdinfo "$CLOSED" > "$DIR/out" 2>&1; then fail "a closed export was shown"; fi
  expect "$DIR/out" "resource ram is secondary on this node"
  if nbdinfo "nbd+unix:///other?socket=$DIR/main.sock" > "$DIR/out" 2>&1; then
    fail "an export of another name was shown"
  fi
fi

if needs nbdcopy; then
  for uri in "$URI" "$TCP"; do
    for request in 33554432 262144 4096; do
      nbdcopy --request-size=$request "$DIR/random" "$uri"
      rm -f "$DIR/copy"
      nbdcopy --request-size=$request --sparse=0 "$uri" "$DIR/copy"
      [ "$(sha256sum < "$DIR/random")" = "$(sha256sum < "$DIR/copy")" ] ||
        fail "nbdcopy $uri with requests of $request: the copy differs"
    done
  done
  # A mostly empty image: zeroes are sent as WRITE_ZEROES.
  truncate -s 64M "$DIR/sparse"
  head -c 1M "$DIR/random" | dd of="$DIR/sparse" bs=1M seek=40 conv=notrunc status=none
  nbdcopy "$DIR/sparse" "$URI"
  nbdcopy "$URI" "$DIR/copy"
  cmp "$DIR/sparse" "$DIR/copy" || fail "nbdcopy of a sparse file: the copy differs"
fi

if /usr/bin/python3 -c 'import nbd' 2> /dev/null; then
  RAN=$((RAN + 1))
  say "== libnbd in Python"
  /usr/bin/python3 "$HERE/nbd_rules.py" "$URI" || fail "nbd_rules.py"
else
  say "SKIPPED: python3-libnbd is not installed"
fi

if needs qemu-img; then
  qemu-img info "$URI" > "$DIR/out"
  expect "$DIR/out" "64 MiB (67108864 bytes)"
  qemu-img convert -n -f raw -O raw "$DIR/random" "$URI"
  qemu-img compare -f raw -F raw "$DIR/random" "$URI" > "$DIR/out" || fail "qemu-img compare"
  qemu-img bench -f raw -c 2000 -d 16 -s 4096 -w --pattern 7 "$URI" > "$DIR/out"
  qemu-img bench -f raw -c 200 -d 4 -s 1048576 --flush-interval 10 -w "$URI" > "$DIR/out"
  if qemu-img info "$CLOSED" > "$DIR/out" 2>&1; then fail "a closed export was opened"; fi
  expect "$DIR/out" "resource ram is secondary on this node"
fi

if needs qemu-io; then
  qemu-io -f raw "$URI" > "$DIR/out" \
    -c "write -P 0x11 0 8M" -c "write -P 0x22 -f 1M 512k" -c "write -z 2M 1M" \
    -c "write -z -u 4M 1M" -c "discard 6M 1M" -c "flush" -c "write -P 0x33 6M 64k" \
    -c "read -P 0x11 0 1M" -c "read -P 0x22 1M 512k" -c "read -P 0x11 1536k 512k" \
    -c "read -P 0 2M 1M" -c "read -P 0x11 3M 1M" -c "read -P 0 4M 1M" -c "read -P 0x33 6M 64k" \
    -c "aio_write -P 0x44 16M 2M" -c "aio_write -P 0x55 18M 2M" -c "aio_flush" \
    -c "read -P 0x44 16M 2M" -c "read -P 0x55 18M 2M"
  if grep -qi -e failed -e error "$DIR/out"; then fail "qemu-io: $(cat "$DIR/out")"; fi
fi

if needs fio && fio --enghelp 2> /dev/null | grep -qw nbd; then
  # Each job reads back what it wrote and checks the sums.
  for uri in "$URI" "$TCP"; do
    for job in "--bs=4k --iodepth=16" "--bs=512-256k --iodepth=16 --bsrange=512-256k" \
      "--bs=1m --iodepth=4"; do
      # shellcheck disable=SC2086
      fio --name=verify --ioengine=nbd --uri="$uri" --rw=randwrite --size=32m $job \
        --verify=crc32c --verify_fatal=1 --do_verify=1 --randrepeat=0 \
        --output="$DIR/out" > /dev/null 2>&1 || fail "fio $job on $uri: $(cat "$DIR/out")"
    done
  done
else
  say "SKIPPED: fio has no nbd engine"
fi

if needs nbd-client; then
  nbd-client -l 127.0.0.1 -p "$TCP_PORT" > "$DIR/out" 2>&1 || fail "nbd-client: $(cat "$DIR/out")"
  expect "$DIR/out" "shared"
fi

[ $RAN -gt 0 ] || exit 77
kill -TERM "$MAIN"
status=0
wait "$MAIN" || status=$?
[ $status = 0 ] || fail "the server ended with status $status: a slot is missing"
[ ! -e "$DIR/main.sock" ] || fail "the socket was left behind"
say ok
