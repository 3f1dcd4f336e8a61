#!/usr/bin/env bash
# The main job, end to end: two nodes, a real file system on the replicated device, an outage with
# resync, and a failover in the middle of writing, after which not one acknowledged byte is missing.
#
#   usage: demo.sh BUILD_DIR        (where hastd and hastctl are)
#
# Everything lives in a temporary folder and is cleaned up on every way out. Needs nbdcopy,
# e2fsprogs and python3-libnbd; where FUSE and loop devices may be used it mounts the file system.
set -euo pipefail

BUILD=$(cd "${1:?usage: $0 BUILD_DIR}" && pwd)
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
TOOLS=$ROOT/tests/tools
PY=/usr/bin/python3
[ -x "$PY" ] || PY=python3
DIR=$(mktemp -d "${TMPDIR:-/tmp}/hast-demo.XXXXXX")
STARTED=$SECONDS

DISK=256M                      # each node's disk
FS_BYTES=$((128 * 1024 * 1024)) # the file system; what is behind it belongs to the stamping client
REGION=$((136 * 1024 * 1024))

# Telling -----------------------------------------------------------------------------------------

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  BOLD=$'\e[1m' DIM=$'\e[2m' GREEN=$'\e[32m' RED=$'\e[31m' PLAIN=$'\e[0m' TERMINAL=1
else
  BOLD='' DIM='' GREEN='' RED='' PLAIN='' TERMINAL=
fi

STEP=0
step() { STEP=$((STEP + 1)); printf '\n%s%d. %s%s\n' "$BOLD" "$STEP" "$1" "$PLAIN"; }
tell() { printf '   %s\n' "$*" | fold -s -w 96 | sed '2,$s/^/   /'; }
run() { printf '   %s$ %s%s\n' "$DIM" "${*//$DIR\//}" "$PLAIN"; "$@" 2>&1 | sed 's/^/   | /'; }
quote() { sed "s|$DIR/||g; s/^/   | /" "$1"; }
good() { printf '   %s✓ %s%s\n' "$GREEN" "$*" "$PLAIN"; }
die() {
  printf '   %s✗ %s%s\n' "$RED" "$*" "$PLAIN" >&2
  exit 1
}

# Leaving -----------------------------------------------------------------------------------------

declare -a PIDS=()
MOUNTED= LOOP= FUSE=

detach_device() {  # in this order: file system, loop device, FUSE; as much of them as there is
  if [ -n "$MOUNTED" ]; then umount "$DIR/mnt" || umount -l "$DIR/mnt" || true; fi 2> /dev/null
  if [ -n "$LOOP" ]; then losetup -d "$LOOP" || true; fi 2> /dev/null
  if [ -n "$FUSE" ]; then
    fusermount3 -u "$DIR/fuse" || umount -l "$DIR/fuse" || kill "$FUSE" || true
    while kill -0 "$FUSE"; do sleep 0.02; done
  fi 2> /dev/null
  MOUNTED='' LOOP='' FUSE=''
}

leave() {
  local status=$? pid
  trap - EXIT
  trap '' INT TERM HUP
  set +e
  [ -z "${WRITER:-}" ] || kill "$WRITER" 2> /dev/null
  if [ "$status" != 0 ]; then
    for node in a b; do
      [ -s "$DIR/$node.log" ] && { echo "--- the end of the log of node $node"; tail -n 15 "$DIR/$node.log"; } >&2
    done
    printf '\n%sThe demo failed (exit status %d).%s\n' "$RED" "$status" "$PLAIN" >&2
  fi
  exec 2> /dev/null # bash reports each process it sees killed
  detach_device
  for pid in "${PIDS[@]}"; do kill -9 "$pid"; done
  wait
  rm -rf "$DIR"
  exit "$status"
}
trap leave EXIT
trap 'exit 130' INT TERM HUP

# Tools -------------------------------------------------------------------------------------------

need() {
  command -v "$1" > /dev/null || PATH=$PATH:/usr/sbin:/sbin
  command -v "$1" > /dev/null || die "$1 is missing; ./dev demo installs it"
}
for tool in nbdcopy mkfs.ext4 e2fsck debugfs; do need "$tool"; done
"$PY" -c 'import nbd' 2> /dev/null || die "python3-libnbd is missing; ./dev demo installs it"

PORT=$((10000 + $$ % 20000))
while (: < "/dev/tcp/127.0.0.1/$PORT" || : < "/dev/tcp/127.0.0.2/$PORT") 2> /dev/null; do PORT=$((PORT + 1)); done

declare -A PID=()
start_node() {
  "$BUILD/hastd" -F -c "$DIR/hast.yaml" --node "$1" >> "$DIR/$1.log" 2>&1 &
  PID[$1]=$!
  PIDS+=("$!")
  local end=$((SECONDS + 10))
  until ctl "$1" status > /dev/null 2>&1; do
    kill -0 "${PID[$1]}" 2> /dev/null || die "hastd of node $1 ended: $(tail -n 3 "$DIR/$1.log")"
    [ $SECONDS -lt $end ] || die "hastd of node $1 does not answer"
    sleep 0.02
  done
}
kill_node() {
  kill -9 "${PID[$1]}"
  wait "${PID[$1]}" 2> /dev/null || true
}
ctl() {
  local node=$1 command=$2
  shift 2
  "$BUILD/hastctl" "$command" -c "$DIR/hast.yaml" --node "$node" "$@"
}
show() {  # NODE COMMAND...: as an operator types it
  printf '   %s%s$ hastctl %s%s\n' "$DIM" "$1" "${*:2}" "$PLAIN"
  ctl "$@" 2>&1 | sed "s|$DIR/||; s/^/   | /"
}
wait_for() { "$PY" "$TOOLS/control.py" wait "$DIR/$1.ctl" shared 20 "${@:2}" || die "node $1 did not get there"; }
uri() { echo "nbd+unix:///shared?socket=$DIR/$1.sock"; }

# progress NODE: a line that follows the resync, from `hastctl status --json`, until it is over.
progress() {
  local line
  while :; do
    line=$(ctl "$1" status --json | "$PY" -c '
import json, sys
r = json.load(sys.stdin)["resources"][0]
s = r["resync"]
if s:
    done, total = s["done_bytes"], s["done_bytes"] + s["left_bytes"]
    part = done / total if total else 0
    bar = "#" * int(30 * part)
    print("[%-30s] %3d %%  %4d of %d MiB" % (bar, 100 * part, done >> 20, total >> 20))
elif r["status"] == "complete" and r["dirty_bytes"] == 0:
    print("done")')
    if [ "$line" = done ]; then break; fi
    if [ -n "$line" ]; then
      if [ -n "$TERMINAL" ]; then printf '\r   resync %s' "$line"; else printf '   resync %s\n' "$line"; fi
    fi
    sleep 0.05
  done
  if [ -n "$TERMINAL" ]; then printf '\r   resync [%-30s] 100 %%%-24s\n' "##############################" ""; fi
}

# attach_device NODE: FUSE file -> loop device -> mounted file system; fails where that is not possible.
attach_device() {
  mkdir -p "$DIR/fuse" "$DIR/mnt"
  rm -f "$DIR/fuse.pid"
  nbdfuse -P "$DIR/fuse.pid" "$DIR/fuse/disk" "$(uri "$1")" > "$DIR/fuse.log" 2>&1 &
  FUSE=$!
  disown "$FUSE"  # it may abort when its server dies, of which the shell need not tell
  local end=$((SECONDS + 10))
  until [ -s "$DIR/fuse.pid" ]; do
    kill -0 "$FUSE" 2> /dev/null && [ $SECONDS -lt $end ] || return 1
    sleep 0.02
  done
  LOOP=$(losetup -f --show --direct-io=on "$DIR/fuse/disk" 2> /dev/null) || return 1
  mount "$LOOP" "$DIR/mnt" || return 1
  MOUNTED=1
}
can_mount() { [ -e /dev/fuse ] && [ -e /dev/loop-control ] && [ "$(id -u)" = 0 ] \
  && command -v nbdfuse fusermount3 losetup > /dev/null; }

hashes() { (cd "$1" && find . -type f ! -path './lost+found/*' -print0 | sort -z | xargs -0 sha256sum); }

compare_disks() {
  "$PY" "$TOOLS/nbd_history.py" compare "$DIR/a.disk" "$DIR/b.disk" --hastctl "$BUILD/hastctl" \
    --config "$DIR/hast.yaml" --resource shared > "$DIR/compare" || { cat "$DIR/compare"; die "the two disks differ"; }
}

# The story ---------------------------------------------------------------------------------------

step "Two nodes, one resource"
cat > "$DIR/hast.yaml" << YAML
nodes:
  a: { listen: "tcp://127.0.0.1:$PORT", control: $DIR/a.ctl, pidfile: $DIR/a.pid }
  b: { listen: "tcp://127.0.0.2:$PORT", control: $DIR/b.ctl, pidfile: $DIR/b.pid }
defaults: { replication: fullsync, timeout: 5 }
resources:
  shared:
    nodes:
      a:
        local: $DIR/a.disk
        remote: tcp://127.0.0.2:$PORT
        source: tcp://127.0.0.1
        frontend: { type: nbd, listen: "unix://$DIR/a.sock" }
      b:
        local: $DIR/b.disk
        remote: tcp://127.0.0.1:$PORT
        source: tcp://127.0.0.2
        frontend: { type: nbd, listen: "unix://$DIR/b.sock" }
YAML
truncate -s "$DISK" "$DIR/a.disk" "$DIR/b.disk"
show a create shared
show b create shared
start_node a
start_node b
tell "Node a listens on 127.0.0.1, node b on 127.0.0.2; each has a disk of $DISK and its own hastd."
show b role secondary shared
show a role primary shared
wait_for a status=complete resync=null dirty_bytes=0
show a status
good "connected: whatever is written on a is on b before the writer is told it is done (fullsync)"

step "A real file system goes in through the device"
mkdir "$DIR/tree"
tar -C "$ROOT" --exclude=./build --exclude=./.git --exclude='__pycache__' -cf - . | tar -C "$DIR/tree" -xf -
hashes "$DIR/tree" > "$DIR/tree.sha256"
truncate -s "$FS_BYTES" "$DIR/image"
mkfs.ext4 -q -F -d "$DIR/tree" "$DIR/image"
run nbdcopy --flush "$DIR/image" "$(uri a)"
tell "An ext4 image with this project's own $(wc -l < "$DIR/tree.sha256") files, copied to a's NBD export."
compare_disks
good "the disks of a and b are equal, byte for byte"

MOUNT=
if can_mount && attach_device a; then
  MOUNT=1
  (cd "$DIR/mnt" && sha256sum --quiet -c "$DIR/tree.sha256") || die "files read through the mount differ"
  good "mounted too (nbdfuse, $LOOP): every file reads back right"
else
  detach_device
  tell "(No FUSE or loop device here: the file system is checked without mounting it.)"
fi

step "Node b fails; work goes on"
kill_node b
tell "kill -9 of b's hastd. A client writes on, stamping every sector with its operation's number:"
"$PY" "$TOOLS/nbd_history.py" run "$(uri a)" --history "$DIR/history" --begin "$REGION" --ops 1200 --sizes 131072,4096 \
  --depth 16 --mix write=90,flush=5,zero=5 > "$DIR/out" || { cat "$DIR/out"; die "the client was let down"; }
quote "$DIR/out"
if [ -n "$MOUNT" ]; then
  cp -r "$DIR/tree" "$DIR/mnt/copy-while-degraded"
  sync -f "$DIR/mnt"
  tell "... and the project is copied once more into the mounted file system."
fi
wait_for a status=degraded
show a status
tell "$("$PY" "$TOOLS/control.py" get "$DIR/a.ctl" shared dirty_bytes | awk '{printf "%d MiB", $1 / 1048576}') are marked dirty" \
  "in a's map on disk: that, and only that, has to be copied later."

step "Node b returns and catches up"
start_node b
show b role secondary shared
progress a
wait_for a status=complete resync=null dirty_bytes=0
show a status
if [ -n "$MOUNT" ]; then sync -f "$DIR/mnt"; fi
compare_disks
good "b has everything again, equal byte for byte"

step "Node a dies in the middle of writing"
"$PY" "$TOOLS/nbd_history.py" run "$(uri a)" --history "$DIR/history" --begin "$REGION" --depth 16 \
  --sizes 4096,16384,65536 --mix write=88,fua=4,flush=8 > "$DIR/out" 2>&1 &
CLIENT=$!
PIDS+=("$CLIENT")
if [ -n "$MOUNT" ]; then
  # A second writer makes files. One whose fsync returned is a promise: its hash is noted.
  mkdir "$DIR/mnt/late"
  (
    n=0
    while n=$((n + 1)); do
      head -c $((20000 + n * 37)) /dev/urandom > "$DIR/late" || break
      cp "$DIR/late" "$DIR/mnt/late/$n" && sync "$DIR/mnt/late/$n" "$DIR/mnt/late" || break
      (cd "$DIR" && echo "$(sha256sum < late | cut -d' ' -f1)  late/$n") >> "$DIR/late.sha256"
    done
  ) 2> /dev/null &
  WRITER=$!
  PIDS+=("$WRITER")
fi
before=$("$PY" "$TOOLS/nbd_history.py" count --history "$DIR/history")
end=$((SECONDS + 20))
until [ "$("$PY" "$TOOLS/nbd_history.py" count --history "$DIR/history")" -gt $((before + 3000)) ]; do
  kill -0 "$CLIENT" 2> /dev/null && [ $SECONDS -lt $end ] || { cat "$DIR/out"; die "the client does not get on"; }
  sleep 0.05
done
kill_node a
status=0
wait "$CLIENT" || status=$?
[ $status = 3 ] || { cat "$DIR/out"; die "the client ended with status $status instead of losing its server"; }
tell "kill -9 of a's hastd, with requests in flight. What the client saw:"
quote "$DIR/out"
if [ -n "$MOUNT" ]; then
  detach_device
  wait "$WRITER" 2> /dev/null || true
  WRITER=
  touch "$DIR/late.sha256"
  tell "The mounted file system lost its device, with $(wc -l < "$DIR/late.sha256") new files synced to it."
fi

step "Node b takes over"
show b role primary shared
show b status
"$PY" "$TOOLS/nbd_history.py" verify "$(uri b)" --history "$DIR/history" --initial any > "$DIR/out" \
  || { cat "$DIR/out"; die "acknowledged data are missing"; }
quote "$DIR/out"
good "every acknowledged write is on b"
if [ -n "$MOUNT" ]; then
  attach_device b || die "cannot mount the device of b: $(cat "$DIR/fuse.log")"
  (cd "$DIR/mnt" && sha256sum --quiet -c "$DIR/tree.sha256") || die "files differ"
  (cd "$DIR/mnt/copy-while-degraded" && sha256sum --quiet -c "$DIR/tree.sha256") || die "files copied while degraded differ"
  [ ! -s "$DIR/late.sha256" ] || (cd "$DIR/mnt" && sha256sum --quiet -c "$DIR/late.sha256") || die "synced files differ"
  good "the file system mounts on b, and all files are right, the last synced one included"
  detach_device
fi
run nbdcopy "$(uri b)" "$DIR/copy"
truncate -s "$FS_BYTES" "$DIR/copy"
e2fsck -fn "$DIR/copy" > "$DIR/out" 2>&1 || { cat "$DIR/out"; die "the file system on b is damaged"; }
tail -n 1 "$DIR/out" > "$DIR/last"
quote "$DIR/last"
mkdir "$DIR/dumped"
debugfs -R "rdump / $DIR/dumped" "$DIR/copy" > /dev/null 2>&1
(cd "$DIR/dumped" && sha256sum --quiet -c "$DIR/tree.sha256") || die "files differ"
good "e2fsck finds the file system clean, and every file's hash is right"

step "Node a comes back as secondary"
start_node a
show a role secondary shared
progress b
wait_for b status=complete resync=null dirty_bytes=0
show b status
ctl b role init shared
ctl a role init shared
compare_disks
good "equal again, byte for byte: $(cat "$DIR/compare")"

printf '\n%sNot one acknowledged byte was lost. (%d s)%s\n' "$BOLD$GREEN" $((SECONDS - STARTED)) "$PLAIN"
