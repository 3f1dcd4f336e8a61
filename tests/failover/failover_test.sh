#!/usr/bin/env bash
# Failover as it is in the field: two hosts and a client on one network, a role manager that chooses
# the primary, ext4 on the replicated device, a TCP service on it behind one address. The primary is
# killed (its hastd; the whole host; its link) while the client writes; the other takes over;
# nothing that was acknowledged is missing; the old one returns as secondary and catches up.
#
#   usage: failover_test.sh BUILD_DIR keepalived|ucarp|pacemaker [hastd] [host] [link] [move]
#
# Hosts are processes in name spaces of their own, with the files that `cmake --install` makes. All
# of it lives in name spaces of this test, so that nothing is left however it ends. Exit status 77:
# this machine cannot do it, and why.
set -euo pipefail

BUILD=$(cd "${1:?usage: $0 BUILD_DIR MANAGER [SCENARIO...]}" && pwd)
MANAGER=${2:?keepalived, ucarp or pacemaker}
SCENARIOS=("${@:3}")
# Pacemaker would need a fencing agent for the pulled cable.
[ ${#SCENARIOS[@]} -gt 0 ] || { [ "$MANAGER" = pacemaker ] && SCENARIOS=(hastd host move) || SCENARIOS=(hastd host link move); }
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PY=/usr/bin/python3
[ -x "$PY" ] || PY=python3

say() { echo "[failover $MANAGER] $*"; }
fail() { echo "[failover $MANAGER] FAILED: $*" >&2; exit 1; }
skip() { echo "[failover $MANAGER] skipped: $*"; exit 77; }

# Inside a name space of our own ----------------------------------------------------------------------

if [ -z "${HAST_FAILOVER_LAB:-}" ]; then
  [ "$(uname)" = Linux ] || skip "it needs Linux's name spaces"
  [ "$(id -u)" = 0 ] || skip "only root can make hosts of name spaces"
  [ -e /dev/fuse ] && [ -e /dev/loop-control ] || skip "no FUSE or no loop devices here"
  tools=("$MANAGER")
  [ "$MANAGER" != pacemaker ] || tools=(pacemakerd corosync cibadmin crm_attribute crm_mon ocf-tester modprobe)
  for tool in "${tools[@]}" nbdfuse nbdcopy fusermount3 losetup mkfs.ext4 ip arping ping flock nsenter; do
    command -v "$tool" > /dev/null || skip "$tool is missing; ./dev failover installs it"
  done
  unshare -m -n -p -f sh -c 'ip link add type bridge && mount -t tmpfs x /mnt && mkdir /mnt/u /mnt/w &&
    mount -t overlay o -o lowerdir=/etc,upperdir=/mnt/u,workdir=/mnt/w /etc' 2> /dev/null \
    || skip "no name spaces, bridges or overlay file systems here"
  HAST_FAILOVER_LAB=1 exec unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private "$0" "$@"
fi

DIR=$(mktemp -d "${TMPDIR:-/tmp}/hast-failover.XXXXXX")
GROUP=ft${DIR##*.} # also the name of the resource
echo "$GROUP" > "$DIR/group"
STARTED=$SECONDS
ROLE_LIMIT_MS=300 # hast's own part of a failover
if grep -qa __asan_init "$BUILD/hastd"; then ROLE_LIMIT_MS=3000; fi

declare -A HOST=() # pid of each host's init
CLIENT='' SWITCH=''

leave() {
  local status=$? node log pid
  trap - EXIT
  set +e
  if [ "$status" != 0 ]; then
    for node in a b; do
      echo "--- host $node"
      for log in hastd manager; do echo "--- end of $node's $log.log"; tail -n 40 "$DIR/$node/$log.log"; done
      [ -d "/proc/${HOST[$node]:-none}" ] || continue
      if [ "$MANAGER" = pacemaker ]; then
        on "$node" crm_mon --one-shot --inactive --show-node-attributes
        on "$node" tail -n 60 /var/log/pacemaker/pacemaker.log | grep -E 'notice: Result|warning|error'
        continue
      fi
      on "$node" /usr/libexec/hast/hast-failover status "$GROUP"
      echo "--- end of $node's failover log"
      on "$node" tail -n 40 "/run/hast/failover/$GROUP/log"
    done
  fi >&2 2>&1
  exec 2> /dev/null
  for pid in $CLIENT $SWITCH; do kill -9 "$pid"; done
  for node in a b; do [ -z "${HOST[$node]:-}" ] || kill -9 "${HOST[$node]}"; done
  wait
  release_loops
  umount "$DIR/disks"
  if [ -d /dev/hast ]; then until_true 3 rmdir /dev/hast; fi # unless the machine has devices there
  rm -rf --one-file-system "$DIR"
  exit "$status"
}
# Loop devices are the machine's: the resource's name tells which are ours.
release_loops() { losetup -l -n -O NAME,BACK-FILE | awk -v name="$GROUP" 'index($2, name) { print $1 }' | xargs -r -n 1 losetup -d; }
trap leave EXIT
trap 'exit 130' INT TERM HUP

until_true() {  # SECONDS COMMAND...
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.02
  done
}
expect_soon() { until_true 60 "$@" || fail "not within 60 s: $*"; }
now_ms() { date +%s%3N; }

# The world -------------------------------------------------------------------------------------------

NET=10.231.77
address_of() { case $1 in a) echo $NET.1 ;; b) echo $NET.2 ;; client) echo $NET.3 ;; esac; }
other() { [ "$1" = a ] && echo b || echo a; }
SERVICE=$NET.10 PORT=7000

make_world() {
  mkdir "$DIR/disks"
  mount -t tmpfs -o size=600m tmpfs "$DIR/disks" # disks that survive their hosts
  ip link set lo up
  ip link add br0 type bridge mcast_snooping 0
  ip link set br0 up
  # The client is on the bridge itself, in this name space.
  ip address add "$(address_of client)/24" dev br0
  write_hast_yaml
  DESTDIR=$DIR/install cmake --install "$BUILD" --prefix /usr > "$DIR/install.log" 2>&1 || fail "$(cat "$DIR/install.log")"
  mkdir -p "$DIR/install/etc"
  local node
  for node in a b; do
    mkdir "$DIR/$node"
    write_group "$node"
    write_keepalived "$node"
    truncate -s 256M "$DIR/disks/$node"
  done
  write_cluster
  prepare_filesystem
}

# An administrator makes the pair and the file system on it before any role manager runs: both nodes
# on the loopback of this name space.
prepare_filesystem() {
  local node pids=()
  sed "s/${NET//./\\.}\.\([12]\)/127.0.0.\1/g" "$DIR/hast.yaml" > "$DIR/made.yaml"
  cat >> "$DIR/made.yaml" << YAML
nodes:
  a: { control: $DIR/a.ctl, listen: "tcp://127.0.0.1" }
  b: { control: $DIR/b.ctl, listen: "tcp://127.0.0.2" }
YAML
  sed -i "s|\(source: \"tcp://127.0.0.[12]\"\)|\1, frontend: { listen: \"unix://$DIR/made.NODE\" }|; s|^\( *\([ab]\):.*\)made.NODE|\1made.\2|" \
    "$DIR/made.yaml"
  made() { "$BUILD/hastctl" "$1" -c "$DIR/made.yaml" --node "$2" "${@:3}"; }
  for node in a b; do
    made create "$node" "$GROUP"
    "$BUILD/hastd" -F -c "$DIR/made.yaml" --node "$node" > "$DIR/made.$node.log" 2>&1 &
    pids+=("$!")
    until_true 20 made status "$node" > /dev/null 2>&1 || fail "$(cat "$DIR/made.$node.log")"
  done
  made role b secondary "$GROUP"
  made role a primary "$GROUP"
  until_true 20 grep -q "in sync" "$DIR/made.a.log" || fail "$(cat "$DIR/made.a.log")"
  truncate -s 200M "$DIR/image"
  mkfs.ext4 -q -F "$DIR/image"
  nbdcopy --flush "$DIR/image" "nbd+unix:///$GROUP?socket=$DIR/made.a" || fail "nbdcopy"
  made role a init "$GROUP"
  kill "${pids[@]}"
  wait "${pids[@]}" || fail "$(cat "$DIR"/made.*.log)"
  rm "$DIR/image"
}

write_hast_yaml() {
  cat > "$DIR/hast.yaml" << YAML
defaults: { replication: fullsync, timeout: 5, heartbeat: 5 }
resources:
  $GROUP:
    nodes:
      a: { local: $DIR/disks/a, remote: "tcp://$(address_of b)", source: "tcp://$(address_of a)" }
      b: { local: $DIR/disks/b, remote: "tcp://$(address_of a)", source: "tcp://$(address_of b)" }
YAML
}

# The group's settings: as in contrib/failover/failover.conf, with a service of our own, and a fence
# that asks the outside world, which is this script, to take the other host's power.
write_group() {
  cat > "$DIR/$1/shared.conf" << CONF
VOLUMES="$GROUP /srv/shared ext4 noatime"
ADDRESSES="$SERVICE/24 eth0"
START="$HERE/service.sh start $PY $HERE/record_server.py /srv/shared/records $PORT"
STOP="$HERE/service.sh stop"
CHECK="$HERE/service.sh check"
FENCE="$HERE/fence.sh $DIR/fence"
UNMOUNT_LIMIT=5
UCARP_INTERFACE=eth0
UCARP_SOURCE=$(address_of "$1")
UCARP_VHID=77
UCARP_PASSFILE=/etc/hast/failover/ucarp.pass
CONF
}

# The example, with what differs between nodes and the name of the group filled in.
write_keepalived() {
  local priority=250
  [ "$1" = a ] || priority=249
  sed "s/router_id nodea.*/router_id $1/; s/priority 250.*/priority $priority/; s/\<shared\>/$GROUP/g" \
    "$HERE/../../contrib/keepalived/keepalived.conf" > "$DIR/$1/keepalived.conf"
}

# Pacemaker gives the roles through ocf:hast:hast and runs the rest with agents of its own.
write_cluster() {
  cat > "$DIR/corosync.conf" << CONF
totem {
  version: 2
  cluster_name: hast
  transport: knet
  token: 1000
  crypto_cipher: none
  crypto_hash: none
}
nodelist {
  node {
    ring0_addr: $(address_of a)
    name: a
    nodeid: 1
  }
  node {
    ring0_addr: $(address_of b)
    name: b
    nodeid: 2
  }
}
quorum {
  provider: corosync_votequorum
  two_node: 1
  wait_for_all: 0
}
logging {
  to_syslog: no
  to_stderr: yes
}
CONF
  sed "s|@GROUP@|$GROUP|g; s|@HERE@|$HERE|g; s|@PY@|$PY|g; s|@PORT@|$PORT|g; s|@ADDRESS@|$SERVICE|g" \
    "$HERE/cib.xml.in" > "$DIR/cib.xml"
}
start_cluster() {
  until_true 60 on a cibadmin --query > /dev/null 2>&1 || fail "Pacemaker does not answer"
  on a cibadmin --replace --scope configuration --xml-file "$DIR/cib.xml" || fail "cibadmin"
}

start_host() {
  local node=$1
  unshare --mount --net --pid --uts --fork --kill-child --propagation private \
    "$HERE/host.sh" "$node" "$DIR" "$MANAGER" > "$DIR/$node/init.log" 2>&1 &
  local outer=$!
  up() { HOST[$node]=$(pgrep -P "$outer"); }
  expect_soon up
  echo "${HOST[$node]}" > "$DIR/$node/pid"
  ip link delete "port-$node" 2> /dev/null || true # the last one goes with its name space, but later
  # A machine keeps its hardware address when it boots: neighbours remember it.
  ip link add "port-$node" type veth peer name eth0 address "02:00:0a:e7:4d:0$(address_of "$node" | tail -c 2)" \
    netns "${HOST[$node]}"
  ip link set "port-$node" master br0 up
  nsenter -t "${HOST[$node]}" -n sh -c "ip link set eth0 up; ip address add $(address_of "$node")/24 dev eth0"
}
kill_host() {
  kill -9 "${HOST[$1]}"
  until_true 10 gone "${HOST[$1]}" || fail "host $1 does not die"
}
gone() { ! kill -0 "$1" 2> /dev/null; }
on() { nsenter -t "${HOST[$1]}" -m -n -p -u -- "${@:2}"; }

# status NODE: of the resource, as JSON; nothing while hastd does not answer.
status() { on "$1" hastctl status --timeout 5 --json "$GROUP" 2> /dev/null || true; }
is() { [[ $(status "$1") == *"\"$2\":$3"* ]]; }
serves() { [ "$MANAGER" != pacemaker ] || { serves_under_pacemaker "$1"; return; }
  on "$1" /usr/libexec/hast/hast-failover check "$GROUP" 2> /dev/null && is "$1" role '"primary"' \
  && [ "$(on "$1" cat "/run/hast/failover/$GROUP/state")" = primary ]; }
serves_under_pacemaker() { is "$1" role '"primary"' && [[ $(on "$1" ip -o address show eth0) == *"$SERVICE/"* ]]; }
someone_serves() { for PRIMARY in a b; do serves "$PRIMARY" && return; done; return 1; }
# in_sync NODE [LINES]: NODE said so after that many lines of its log, and still is. (Hot extents stay
# dirty while the client writes.)
in_sync() {
  tail -n "+$((${2:-0} + 1))" "$DIR/$1/hastd.log" | grep -qE 'Synchronization complete|Nodes are in sync' \
    && is "$1" status '"complete"' && is "$1" resync null
}
stands_by() { is "$1" role '"secondary"' && is "$1" status '"complete"'; }

# The client ------------------------------------------------------------------------------------------

start_client() {
  "$PY" "$HERE/record_client.py" write "$DIR/history" "$SERVICE" "$PORT" &
  CLIENT=$!
  expect_soon test -e "$DIR/history"
}
acknowledged() { "$PY" "$HERE/record_client.py" count "$DIR/history"; }
more_than() { [ "$(acknowledged)" -gt "$1" ]; }
some_records() { local before; before=$(acknowledged); expect_soon more_than $((before + 100)); }
verify_on() {
  cp "$DIR/history" "$DIR/promised" # first: the client goes on while the records are read
  on "$1" cat /srv/shared/records > "$DIR/records"
  "$PY" "$HERE/record_client.py" verify "$DIR/promised" "$DIR/records" || fail "acknowledged records are missing on $1"
}

# The scenarios ---------------------------------------------------------------------------------------

# How the primary goes. Each prints nothing and returns at the moment of death.
die_hastd() { on "$1" sh -c 'kill -9 "$(pgrep -x hastd)"'; }
die_host() { kill_host "$1"; }
die_link() { ip link set "port-$1" nomaster; }

# report NODE DEATH_MS WHAT: how long it took until NODE served.
report() {
  local node=$1 death=$2 what=$3 steps pause total role
  some_records
  read -r pause total < <("$PY" "$HERE/record_client.py" gap "$DIR/history" "$death")
  if [ "$MANAGER" = pacemaker ]; then
    say "$what: $total ms from the death to the first record served by $node (a pause of $pause ms)"
    return
  fi
  steps=$(on "$node" /usr/libexec/hast/hast-failover status "$GROUP" | sed -n 's/^ *\([0-9]* ms\) */\1 /p')
  role=$(echo "$steps" | awk '$3 == "role" { print $1 }')
  say "$what: $total ms from the death to the first record served by $node (a pause of $pause ms);" \
    "hast's own part $role ms"
  say "  steps: $(echo "$steps" | awk '{ printf "%s%s %s ms", sep, $3, $1; sep = ", " }')"
  if [ "$total" -lt 3000 ]; then say "  under the goal of 3 s"; else say "  OVER the goal of 3 s"; fi
  [ "$role" -lt "$ROLE_LIMIT_MS" ] || fail "the change of role took $role ms"
}

scenario() {
  local what=$1 old=$PRIMARY new death said back
  new=$(other "$old")
  said=$(wc -l < "$DIR/$new/hastd.log")
  some_records
  say "== $what of the primary, $old"
  if [ "$what" = move ]; then move_away "$old"; else "die_$what" "$old"; fi
  death=$(now_ms)
  expect_soon serves "$new"
  PRIMARY=$new
  report "$new" "$death" "$what"
  verify_on "$new"
  if [ "$what" = link ]; then
    [ -e "$DIR/fence.done" ] || fail "$new took over from a host that was still running"
    rm "$DIR/fence.done"
  fi
  back=$(now_ms)
  case $what in host | link) start_host "$old" ;; esac
  expect_soon stands_by "$old"
  back=$(($(now_ms) - back))
  expect_soon in_sync "$new" "$said"
  serves "$new" || fail "$new lost the service when $old returned"
  ! serves "$old" || fail "both serve"
  some_records
  say "  $old is back as secondary (connected after $back ms) and in sync"
}

# An operator empties a node: its manager lets go, hast-failover demotes in order.
move_away() {
  case $MANAGER in
    keepalived) on "$1" sh -c 'kill -TERM "$(pgrep -o -x keepalived)"' ;; # started again at once, as BACKUP
    ucarp) on "$1" sh -c 'kill -USR2 "$(pgrep -x ucarp)"' ;;
    pacemaker) on "$1" crm_attribute -N "$1" -n standby -v on -l reboot && (sleep 20 && on "$1" crm_attribute -N "$1" -n standby -D -l reboot) & ;;
  esac
}

# The power switch that FENCE asks for: takes the power of the host with that address, and answers
# when it is off.
power_switch() {
  local address node
  while read -r address < "$DIR/fence"; do
    for node in a b; do
      [ "$(address_of "$node")" = "$address" ] || continue
      kill -9 "$(cat "$DIR/$node/pid")"
      : > "$DIR/fence.done"
    done
    echo off > "$DIR/fence.answer"
  done
}

make_world
mkfifo "$DIR/fence" "$DIR/fence.answer"
power_switch &
SWITCH=$!
start_host a
start_host b
[ "$MANAGER" != pacemaker ] || start_cluster
say "two hosts, a client on a third address; $MANAGER chooses the primary"
expect_soon someone_serves
say "$PRIMARY was chosen"
expect_soon stands_by "$(other "$PRIMARY")"
expect_soon in_sync "$PRIMARY" # a node in the middle of its first copy is no successor
start_client
for what in "${SCENARIOS[@]}"; do scenario "$what"; done

kill "$CLIENT"
wait "$CLIENT" || true
CLIENT=
verify_on "$PRIMARY"
say "$(acknowledged) acknowledged records, not one missing, after: ${SCENARIOS[*]} ($((SECONDS - STARTED)) s)"
