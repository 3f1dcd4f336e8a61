#!/bin/sh
# The main job on FreeBSD: a pair of nodes on this machine, UFS on /dev/hast/NAME of one of them,
# and everything that ends a hastd. Needs root, GEOM gate and what the base system has; nothing else.
#
#   usage: gate_test.sh BUILD_DIR
#
# shellcheck disable=SC2034,SC2086 # PID_* are used by eval; names of nodes and of the resource are words
set -eu

BUILD=$(cd "${1:?usage: $0 BUILD_DIR}" && pwd)
[ "$(uname)" = FreeBSD ] || { echo "skipped: not FreeBSD"; exit 77; }
[ "$(id -u)" = 0 ] || { echo "skipped: needs root"; exit 77; }

DIR=$(mktemp -d "${TMPDIR:-/tmp}/hast.XXXXXX")
MNT=$DIR/mnt
NAME=gatetest$$
PORT=$((10000 + $$ % 10000 * 2))
PID_a='' PID_b='' PID_c='' PROVIDER_a='' PROVIDER_b='' UNITS=''
SIZE=160m      # of a component
PATIENCE=60    # seconds until a state that should come has come

leave() {
  status=$?
  trap - EXIT
  set +e
  if [ $status != 0 ]; then
    for node in a b; do
      echo "--- end of $node.log"
      tail -n 40 "$DIR/$node.log"
    done
  fi
  # A file system whose hastd is dead cannot be unmounted.
  for node in a b; do
    if is_there $node && ! answers $node; then
      start $node
      hastctl $node role primary $NAME
    fi
  done
  umount -f "$MNT" 2> /dev/null
  for node in a b c; do stop KILL $node; done
  # A device that its daemon left behind would wait for the next one for ever.
  for node in a b; do
    if is_there $node; then
      start $node
      stop TERM $node
    fi
  done
  for unit in $UNITS; do mdconfig -d -u "$unit"; done
  rm -rf "$DIR"
  exit $status
}
trap leave EXIT
trap 'exit 130' INT TERM HUP

say() { echo "[gate_test] $*"; }
fail() { echo "[gate_test] FAILED: $*"; exit 1; }

# soon COMMAND...: polls until the command succeeds.
soon() {
  end=$(($(date +%s) + PATIENCE))
  until "$@"; do
    [ "$(date +%s)" -lt $end ] || fail "not within $PATIENCE s: $*"
    sleep 0.1
  done
}

pid_of() { eval "echo \$PID_$1"; }

# hastctl NODE SUBCOMMAND...
hastctl() {
  node=$1 subcommand=$2
  shift 2
  "$BUILD/hastctl" "$subcommand" -c "$DIR/hast.yaml" --node "$node" "$@"
}

answers() { hastctl "$1" status > /dev/null 2>&1; }

start() {
  "$BUILD/hastd" -F -c "$DIR/hast.yaml" --node "$1" >> "$DIR/$1.log" 2>&1 &
  eval "PID_$1=$!"
  soon answers "$1"
}

# stop SIGNAL NODE: and waits for its end.
stop() {
  pid=$(pid_of "$2")
  [ -n "$pid" ] || return 0
  kill "-$1" "$pid" 2> /dev/null
  wait "$pid" 2> /dev/null || :
  eval "PID_$2=''"
}

# in_sync NODE: it is primary, and its secondary has everything.
in_sync() {
  hastctl "$1" list --json $NAME > "$DIR/list" 2>&1 || return 1
  grep -q '"status": *"complete"' "$DIR/list" && grep -q '"resync": *null' "$DIR/list" && grep -q '"dirty_bytes": *0\>' "$DIR/list"
}

# The kernel holds a device exclusively for a moment while it looks for labels on it: EPERM.
mount_it() { mount "$1" "$MNT" 2> "$DIR/mount" || { grep -q "not permitted" "$DIR/mount" && return 1; cat "$DIR/mount"; exit 1; }; }

# Both nodes share this machine's /dev: each calls its device by a name of its own.
device() { echo "/dev/hast/$NAME-$1"; }
is_there() { [ -c "$(device "$1")" ]; }
is_gone() { [ ! -e "$(device "$1")" ]; }

# The kernel reads the component of a node by itself. It cannot read a file: then there is no PROVIDER.
provider() { eval "echo \"\${PROVIDER_$1#/dev/}\""; }
reads_directly() { sysctl -n kern.geom.confxml | grep -q "<read_provider>$(provider "$1")</read_provider>"; }
reads_through() { ! reads_directly "$1"; }
check_reads() { if [ -n "$(provider "$1")" ]; then soon reads_directly "$1"; fi; }

primary() {
  hastctl "$1" role primary $NAME
  soon is_there "$1"
}

write_config() {  # LOCAL_a LOCAL_b
  cat > "$DIR/hast.yaml" << YAML
nodes:
  a: { listen: "tcp://127.0.0.1:$PORT", control: $DIR/a.ctl, pidfile: $DIR/a.pid }
  b: { listen: "tcp://127.0.0.1:$((PORT + 1))", control: $DIR/b.ctl, pidfile: $DIR/b.pid }
resources:
  $NAME:
    replication: fullsync
    timeout: 10
    frontend: { type: ggate, direct_reads: true } # of providers: the kernel cannot read files by itself
    nodes:
      a: { name: $NAME-a, local: $1, remote: "tcp://127.0.0.1:$((PORT + 1))", source: tcp://127.0.0.1 }
      b: { name: $NAME-b, local: $2, remote: "tcp://127.0.0.1:$PORT", source: tcp://127.0.0.1 }
YAML
}

# pair LOCAL_a LOCAL_b: a is primary, b its secondary, both the same.
pair() {
  write_config "$1" "$2"
  for node in a b; do
    hastctl $node create $NAME
    start $node
  done
  hastctl b role secondary $NAME
  primary a
  soon in_sync a
}

end_pair() {
  for node in a b; do
    hastctl $node role init $NAME
    stop TERM $node
    soon is_gone $node
  done
}

# outlived SIGNAL FILE: a file is written while the primary's hastd ends by the signal and comes back.
outlived() {
  dd if="$DIR/content" of="$2" bs=64k 2> /dev/null &
  writer=$!
  stop "$1" a
  is_there a || fail "$(device a) did not outlive its hastd"
  [ "$1" = KILL ] || reads_through a || fail "$(device a) reads from a component that nobody vouches for"
  start a
  hastctl a role primary $NAME
  check_reads a
  wait $writer || fail "a writer saw an error while hastd was away"
  cmp "$DIR/content" "$2" || fail "what was written is not what is read"
}

# The devices of the file systems: files, then providers ------------------------------------------

mkdir "$MNT"
dd if=/dev/random of="$DIR/content" bs=1m count=24 2> /dev/null

round() {
  a=$(device a) b=$(device b)
  say "UFS on $a ($1)"
  check_reads a
  newfs -U "$a" > /dev/null
  soon mount_it "$a"
  dd if="$DIR/content" of="$MNT/first" bs=1m 2> /dev/null
  sync
  umount "$MNT"
  fsck_ffs -n "$a" > "$DIR/fsck" || { cat "$DIR/fsck"; fail "fsck after a clean umount"; }

  say "hastd of the primary is killed while files are written"
  soon mount_it "$a"
  outlived KILL "$MNT/second"
  say "hastd of the primary is restarted for an upgrade (SIGUSR2)"
  outlived USR2 "$MNT/third"
  umount "$MNT"
  soon in_sync a

  say "the secondary takes over"
  hastctl a role init $NAME
  soon is_gone a
  stop TERM a
  primary b
  fsck_ffs -n "$b" > "$DIR/fsck" || { cat "$DIR/fsck"; fail "fsck after the failover"; }
  soon mount_it "$b"
  for file in first second third; do cmp "$DIR/content" "$MNT/$file" || fail "$file differs after the failover"; done
  rm "$MNT/first"
  dd if="$DIR/content" of="$MNT/fourth" bs=1m 2> /dev/null

  check_reads b

  say "the old primary returns, is resynced, and takes over again"
  start a
  hastctl a role secondary $NAME
  umount "$MNT"
  soon in_sync b
  hastctl b role secondary $NAME
  soon is_gone b
  primary a
  soon mount_it "$a"
  for file in second third fourth; do cmp "$DIR/content" "$MNT/$file" || fail "$file differs after the resync"; done
  umount "$MNT"

  say "a primary is demoted while its device is open"
  exec 3< "$a"
  hastctl a role init $NAME
  soon is_gone a
  dd bs=64k count=1 <&3 > /dev/null 2>&1 && fail "a device that is gone was read"
  exec 3<&-
  primary a

  say "a primary is demoted while the kernel looks at its device again: the last writer has just closed it"
  dd if="$a" of="$DIR/sectors" bs=64k count=1 2> /dev/null
  for _ in 1 2 3 4 5; do
    dd if="$DIR/sectors" of="$a" bs=64k conv=notrunc 2> /dev/null
    hastctl a role init $NAME
    soon is_gone a
    primary a
  done

  say "a stop removes the device"
  stop TERM a
  soon is_gone a
  start a
  hastctl b role init $NAME
}

truncate -s $SIZE "$DIR/a.img" "$DIR/b.img"
pair "$DIR/a.img" "$DIR/b.img"
round "components are files"
end_pair

for node in a b; do
  unit=$(mdconfig -a -t swap -s $SIZE)
  UNITS="$UNITS ${unit#md}"
  eval "PROVIDER_$node=/dev/$unit"
done
pair "$PROVIDER_a" "$PROVIDER_b"
round "components are providers"

say "a second hastd is refused the same component"
hastctl b role secondary $NAME
sed "s|$DIR/b\.|$DIR/c.|g; s|:$((PORT + 1))\"|:$((PORT + 2))\"|g" "$DIR/hast.yaml" > "$DIR/other.yaml"
"$BUILD/hastd" -F -c "$DIR/other.yaml" --node b > "$DIR/c.log" 2>&1 &
PID_c=$!
other() { subcommand=$1; shift; "$BUILD/hastctl" "$subcommand" -c "$DIR/other.yaml" --node b "$@" > "$DIR/out" 2>&1; }
soon other status
other role secondary $NAME && fail "two daemons on one component"
grep -q 'in use by another process' "$DIR/out" || { cat "$DIR/out"; fail "the refusal does not say why"; }
stop TERM c
end_pair
say "passed"
