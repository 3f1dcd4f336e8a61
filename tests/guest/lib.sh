# shellcheck shell=sh
# What the scenarios share: two nodes of a pair on the loopback address of one guest, each with a
# block device, and writers that keep a history of what was acknowledged to them.

say() { echo "GUEST $(cut -d' ' -f1 /proc/uptime): $*"; }
fail() {
  say "FAILED: $*"
  touch /run/failed
  for node in a b; do
    echo "--- log of $node"
    tail -n 40 "/run/$node.log"
  done
  echo "--- kernel"
  dmesg | tail -n 40
  poweroff -f
}
expect() { "$@" > /run/out 2>&1 || fail "$*: $(cat /run/out)"; }
now_cs() { sed 's/^\([0-9]*\)\.\([0-9]*\) .*/\1\2/' /proc/uptime; }

# wait_for SECONDS COMMAND...
wait_for() {
  _end=$(($(now_cs) + $1 * 100))
  shift
  until "$@" > /dev/null 2>&1; do
    [ "$(now_cs)" -lt "$_end" ] || fail "not within the time: $*"
    usleep 20000
  done
}

config=/run/hast.yaml

# configure FRONTEND: what both nodes have behind `frontend:`.
configure() {
  cat > /run/hast.yaml << YAML
nodes:
  a: { listen: tcp://127.0.0.1:8457, control: /run/a.ctl }
  b: { listen: tcp://127.0.0.2:8457, control: /run/b.ctl }
resources:
  shared:
    replication: fullsync
    frontend: $1
    nodes:
      a: { name: shared-a, local: /run/a.img, remote: tcp://127.0.0.2:8457, source: tcp://127.0.0.1 }
      b: { name: shared-b, local: /run/b.img, remote: tcp://127.0.0.1:8457, source: tcp://127.0.0.2 }
YAML
  for node in a b; do
    truncate -s 160M "/run/$node.img"
    expect ctl $node create shared
  done
}

ctl() {  # NODE COMMAND ARGUMENT...
  _node=$1 _command=$2
  shift 2
  hastctl "$_command" -c "$config" --node "$_node" "$@"
}
start() {  # NODE
  hastd -F -c /run/hast.yaml --node "$1" >> "/run/$1.log" 2>&1 &
  echo $! > "/run/$1.pid"
  wait_for 10 ctl "$1" status shared
}
stop() {  # NODE SIGNAL
  kill "-$2" "$(cat "/run/$1.pid")"
  wait "$(cat "/run/$1.pid")"
}
role() { expect ctl "$1" role "$2" shared; }  # NODE ROLE
is_complete() { ctl "$1" status shared | grep -q complete; }
is_synced() { ctl "$1" list shared | grep -q 'dirty: 0'; }

# Writers ------------------------------------------------------------------------------------------

# Each appends numbered records to its file, one fsync each, and notes what was acknowledged and the
# longest time it took. An error ends it and is kept.
start_writers() {  # MOUNTPOINT COUNT
  rm -f /run/stop /run/errors /run/acked.* /run/slowest.*
  _writers=
  for _w in $(seq "$2"); do
    write_records "$1" "$_w" 2> /dev/null &
    _writers="$_writers $!"
  done
  write_bulk "$1" 2> /dev/null &
  _writers="$_writers $!"
}
write_records() {  # MOUNTPOINT WRITER
  _n=0 _file=$1/records.$2
  while [ ! -e /run/stop ]; do
    _n=$((_n + 1)) _begin=$(now_cs)
    echo "record $_n" | dd of="$_file" oflag=append conv=notrunc,fsync 2> /dev/null || { echo "writer $2 record $_n" >> /run/errors; return; }
    _took=$(($(now_cs) - _begin))
    echo $_n > "/run/acked.$2"
    [ $_took -le "$(cat "/run/slowest.$2" 2> /dev/null || echo 0)" ] || echo $_took > "/run/slowest.$2"
  done
}
write_bulk() {  # MOUNTPOINT
  while [ ! -e /run/stop ]; do
    dd if=/dev/urandom of="$1/bulk" bs=256k count=16 conv=fsync 2> /dev/null || { echo "bulk" >> /run/errors; return; }
    sha256sum < "$1/bulk" > /run/bulk.sum
    cp /run/bulk.sum "$1/bulk.sum" || { echo "bulk.sum" >> /run/errors; return; }
  done
}
stop_writers() {
  touch /run/stop
  # shellcheck disable=SC2086
  wait $_writers
}
acked() { cat /run/acked.1 2> /dev/null || echo 0; }
writers_go_on() {
  _from=$(acked)
  wait_for 60 sh -c "[ \$(cat /run/acked.1) -gt $((_from + 3)) ]"
  [ ! -e /run/errors ] || fail "I/O errors: $(cat /run/errors)"
}
forget_slowest() { rm -f /run/slowest.*; }
slowest_ms() { cat /run/slowest.* | sort -n | tail -1 | sed 's/$/0 ms/'; }
check_history() {  # MOUNTPOINT
  for _f in /run/acked.*; do
    _w=${_f#/run/acked.}
    _have=$(grep -c '^record [0-9]*$' "$1/records.$_w")
    [ "$_have" -ge "$(cat "$_f")" ] || fail "writer $_w: $(cat "$_f") records were acknowledged, $_have are there"
    _bad=$(awk '$2 != NR { print NR; exit }' "$1/records.$_w")
    [ -z "$_bad" ] || fail "writer $_w: record $_bad is not in its place"
  done
}
no_io_errors() {
  ! dmesg | grep -E 'I/O error|EXT4-fs error|Buffer I/O' > /run/out || fail "the kernel saw errors: $(head -3 /run/out)"
}
