# What every integration test begins with: a temporary folder, a configuration for two nodes on
# 127.0.0.1 and 127.0.0.2, starting and killing hastd by its pid, waiting for states (never for
# time), a client with a memory, and one clean-up that every way out takes.
#
#   usage of a test: NAME_test.sh BUILD_DIR [ARGUMENT...]
#   . "$(dirname "$0")/lib.sh"
#
# shellcheck shell=bash
set -euo pipefail

BUILD=$(cd "${1:?usage: $0 BUILD_DIR}" && pwd)
shift
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOOLS=$HERE/../tools
GOLDEN=$HERE/../golden
PY=/usr/bin/python3 # the one with libnbd
[ -x "$PY" ] || PY=python3
TEST=$(basename "$0" .sh)
DIR=$(mktemp -d "${TMPDIR:-/tmp}/hast.XXXXXX")
PATIENCE=30 # seconds until a state that should come has come

# Leaving -----------------------------------------------------------------------------------------

declare -a PIDS=() ON_EXIT=()

# on_exit COMMAND...: runs it when the test ends, last registered first.
on_exit() { ON_EXIT=("$(printf '%q ' "$@")" "${ON_EXIT[@]}"); }

leave() {
  local status=$?
  trap - EXIT
  set +e
  if [ "$status" != 0 ]; then
    for node in a b c; do
      [ -s "$DIR/$node.log" ] && { echo "--- end of $node.log"; tail -n 40 "$DIR/$node.log"; }
    done
  fi >&2
  exec 2> /dev/null # bash reports each process it sees killed
  local command pid
  for command in "${ON_EXIT[@]}"; do eval "$command"; done
  for pid in "${PIDS[@]}"; do kill -CONT "$pid" && kill -9 "$pid"; done
  wait
  rm -rf "$DIR"
  exit "$status"
}
trap leave EXIT
trap 'exit 130' INT TERM HUP

say() { echo "[$TEST] $*"; }
fail() { echo "[$TEST] FAILED: $*" >&2; exit 1; }
skip() { echo "[$TEST] skipped: $*"; exit 77; }

# expect_status CODE COMMAND...: the command ends with that exit status. Its output is in $DIR/out.
expect_status() {
  local wanted=$1 got=0
  shift
  "$@" > "$DIR/out" 2>&1 || got=$?
  [ "$got" = "$wanted" ] || { cat "$DIR/out" >&2; fail "exit status $got instead of $wanted: $*"; }
}

# until_true SECONDS COMMAND...: polls until the command succeeds.
until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.02
  done
}

expect_soon() { until_true "$PATIENCE" "$@" || fail "not within $PATIENCE s: $*"; }

# Configuration -----------------------------------------------------------------------------------

# A pair of ports nobody listens on. Tests run beside each other: the pid tells them apart.
free_port() {
  local port=$((10000 + ($$ % 10000) * 2 + ${1:-0}))
  while (: < "/dev/tcp/127.0.0.1/$port" || : < "/dev/tcp/127.0.0.2/$port") 2> /dev/null; do
    port=$((port + 2))
  done
  echo "$port"
}

PORT=$(free_port)
# What tests vary before write_config.
MODE=fullsync CHECKSUM=none COMPRESSION=hole TIMEOUT=5 THREADS=${HAST_THREADS:-1} HOOK= ON_LOCAL_ERROR=detach MORE_DEFAULTS=
SIZE=64M               # of the components
DISK_a=$DIR/a.disk DISK_b=$DIR/b.disk
REMOTE_a=tcp://127.0.0.2:$PORT REMOTE_b=tcp://127.0.0.1:$PORT
LISTEN_a=tcp://127.0.0.1:$PORT LISTEN_b=tcp://127.0.0.2:$PORT
EXTRA_RESOURCES=       # YAML of more resources, indented by two

address_of() { [ "$1" = a ] && echo 127.0.0.1 || echo 127.0.0.2; }
other() { [ "$1" = a ] && echo b || echo a; }

write_config() {
  local node
  {
    echo "threads: $THREADS"
    echo "nodes:"
    for node in a b; do
      local listen=LISTEN_$node
      echo "  $node: { listen: [\"${!listen}\"], control: $DIR/$node.ctl, pidfile: $DIR/$node.pid }"
    done
    echo "defaults: { replication: $MODE, checksum: $CHECKSUM, compression: $COMPRESSION, timeout: $TIMEOUT, on_local_error: $ON_LOCAL_ERROR$MORE_DEFAULTS${HOOK:+, exec: $HOOK} }"
    echo "resources:"
    echo "  r0:"
    echo "    nodes:"
    for node in a b; do
      local disk=DISK_$node remote=REMOTE_$node
      echo "      $node: { local: ${!disk}, remote: \"${!remote}\", source: tcp://$(address_of $node)," \
        "frontend: { type: nbd, listen: \"unix://$DIR/$node.sock\" } }"
    done
    printf '%s' "$EXTRA_RESOURCES"
  } > "$DIR/hast.yaml"
}

make_disks() {
  local disk
  for disk in "$DISK_a" "$DISK_b"; do
    [ -e "$disk" ] || truncate -s "$SIZE" "$disk"
  done
}

needs_fuse() {
  [ "$(id -u)" = 0 ] && [ -e /dev/fuse ] && command -v nbdfuse fusermount3 > /dev/null ||
    skip "needs root, nbdfuse and FUSE"
}

# fuse_disk NODE SOCKET: the node's component becomes a file on FUSE, behind it the NBD server there.
fuse_disk() {
  local folder=$DIR/$1-fuse
  mkdir "$folder"
  nbdfuse -P "$folder.pid" "$folder/disk" "nbd+unix:///?socket=$2" &
  PIDS+=("$!")
  on_exit fusermount3 -u -z "$folder"
  until_true 5 test -s "$folder.pid" || skip "nbdfuse does not work here"
  declare -g "DISK_$1=$folder/disk"
}

# ctl NODE COMMAND [ARGUMENT...]: hastctl as that node.
ctl() {
  local node=$1 command=$2
  shift 2
  "$BUILD/hastctl" "$command" -c "$DIR/hast.yaml" --node "$node" "$@"
}

# Daemons -----------------------------------------------------------------------------------------

declare -A PID=()

# start NODE: hastd in the foreground, its log in NODE.log; returns when it answers.
start() {
  local node=$1
  "$BUILD/hastd" -F -d -c "$DIR/hast.yaml" --node "$node" >> "$DIR/$node.log" 2>&1 &
  PID[$node]=$!
  PIDS+=("$!")
  until_true "$PATIENCE" answers "$node" || fail "hastd $node does not answer"
}

answers() {
  kill -0 "${PID[$1]}" 2> /dev/null || fail "hastd $1 ended: $(tail -n 3 "$DIR/$1.log")"
  ctl "$1" status > /dev/null 2>&1
}

# stop_node NODE [SIGNAL]: as an operator does; fails if it does not end by itself, cleanly.
stop_node() {
  local signal=${2:-TERM} status=0
  kill "-$signal" "${PID[$1]}"
  until_true "$PATIENCE" gone "${PID[$1]}" || fail "hastd $1 does not end on SIG$signal"
  wait "${PID[$1]}" || status=$?
  [ $status = 0 ] || fail "hastd $1 ended with status $status"
}

kill_node() {
  kill -9 "${PID[$1]}" 2> /dev/null || true
  wait "${PID[$1]}" 2> /dev/null || true
}

gone() { ! kill -0 "$1" 2> /dev/null; }
alive() { kill -0 "${PID[$1]}" 2> /dev/null || fail "hastd $1 died: $(tail -n 5 "$DIR/$1.log")"; }

# wait_for NODE CONDITION...: conditions on the status of r0, see control.py.
wait_for() {
  local node=$1
  shift
  "$PY" "$TOOLS/control.py" wait "$DIR/$node.ctl" "${RESOURCE:-r0}" "$PATIENCE" "$@" || fail "node $node"
}

field() {
  local node=$1
  shift
  "$PY" "$TOOLS/control.py" get "$DIR/$node.ctl" "${RESOURCE:-r0}" "$@"
}

role() { ctl "$1" role "$2" "${3:-r0}" || fail "role $2 on $1"; }

# in_log NODE TEXT: the log has a line with it.
in_log() { grep -qF -- "$2" "$DIR/$1.log"; }
log_count() { grep -cF -- "$2" "$DIR/$1.log" || true; }

# started_pair: configured, created, b secondary; a has no role yet.
started_pair() {
  write_config
  make_disks
  ctl a create r0
  ctl b create r0
  start a
  start b
  role b secondary
}

# connected_pair: the same with a primary, in sync.
connected_pair() {
  started_pair
  role a primary
  wait_for a status=complete resync=null dirty_bytes=0
  wait_for b status=complete
}

# in_sync [NODE]: connected, nothing left to copy and no write on its way.
in_sync() { wait_for "${1:-a}" status=complete resync=null dirty_bytes=0; }

# The client --------------------------------------------------------------------------------------

uri() { echo "nbd+unix:///r0?socket=$DIR/$1.sock"; }

HISTORY=$DIR/history
MIX=write=80,fua=3,trim=3,zero=4,flush=10

# client_words NODE [OPTION...]: fills CLIENT_WORDS with the command.
client_words() {
  local node=$1
  shift
  CLIENT_WORDS=("$PY" "$TOOLS/nbd_history.py" run "$(uri "$node")" --history "$HISTORY" --mix "$MIX"
    --sizes "4096,16384,512,131072" "$@")
}

# client NODE [OPTION...]: writes in the foreground.
client() {
  client_words "$@"
  "${CLIENT_WORDS[@]}"
}

# start_client NODE [OPTION...]: writes in the background until stop_client or the server's death.
start_client() {
  client_words "$@"
  "${CLIENT_WORDS[@]}" > "$DIR/client.out" 2>&1 & # no function here: its pid is the client's
  CLIENT=$!
  PIDS+=("$CLIENT")
}

acknowledged() { "$PY" "$TOOLS/nbd_history.py" count --history "$HISTORY"; }
at_least() { [ "$(acknowledged)" -ge "$1" ] || { gone "$CLIENT" && fail "the client ended: $(cat "$DIR/client.out")"; false; }; }

# some_writes [N]: waits until N more operations were acknowledged.
some_writes() {
  local wanted=$(($(acknowledged) + ${1:-300}))
  expect_soon at_least "$wanted"
}

# stop_client: ends it, and demands that nothing it asked for failed.
stop_client() {
  local status=0
  kill -TERM "$CLIENT"
  wait "$CLIENT" || status=$?
  say "client: $(cat "$DIR/client.out")"
  [ $status = 0 ] || fail "the client ended with status $status"
}

# lost_client: the server was killed under it; status 3 says that, and no error was answered.
lost_client() {
  local status=0
  wait "$CLIENT" || status=$?
  say "client: $(cat "$DIR/client.out")"
  [ $status = 3 ] || fail "the client ended with status $status"
}

# verify NODE [OPTION...]: every acknowledged byte is there.
verify() {
  local node=$1
  shift
  "$PY" "$TOOLS/nbd_history.py" verify "$(uri "$node")" --history "$HISTORY" "$@" || fail "data on $node"
}

# compare_disks: both components hold the same bytes, everywhere.
compare_disks() {
  "$PY" "$TOOLS/nbd_history.py" compare "$DISK_a" "$DISK_b" --hastctl "$BUILD/hastctl" --config "$DIR/hast.yaml" \
    "$@" || fail "the components differ"
}

BUILD_IS_SANITIZED=0
if grep -qa __asan_init "$BUILD/hastd"; then BUILD_IS_SANITIZED=1; fi
