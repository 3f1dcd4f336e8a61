#!/usr/bin/env bash
# The failover scripts as on FreeBSD, with programs that only take notes: the order of the steps, both
# ways; a refusal that is final; a primary that is still connected; devd's and rc.d's scripts. What a
# real FreeBSD answers is not shown here.
#
#   usage: scripts_test.sh
set -euo pipefail
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
DIR=$(mktemp -d "${TMPDIR:-/tmp}/hast-scripts.XXXXXX")
WATCH=
trap 'status=$?; [ -z "$WATCH" ] || kill "$WATCH" 2> /dev/null; [ $status = 0 ] || cat "$DIR/notes" "$DIR/out" >&2; rm -rf "$DIR"' EXIT
say() { echo "[scripts_test] $*"; }
fail() { echo "[scripts_test] FAILED: $*" >&2; exit 1; }

mkdir "$DIR/bin" "$DIR/libexec" "$DIR/etc" "$DIR/dev"
: > "$DIR/notes"
: > "$DIR/out"
cp "$ROOT"/contrib/failover/hast-failover "$ROOT"/contrib/failover/*.subr "$ROOT/contrib/freebsd/hast-carp" "$DIR/libexec"
for file in "$DIR"/libexec/* "$ROOT"/contrib/keepalived/hast-keepalived "$ROOT"/contrib/ucarp/* "$ROOT"/contrib/freebsd/rc.d/hast \
  "$ROOT"/contrib/freebsd/examples/*.conf "$ROOT"/contrib/failover/failover.conf; do
  sh -n "$file" || fail "$file does not parse"
done

# fake NAME: a program that notes how it was called, and does what standard input says.
fake() {
  { echo '#!/bin/bash'; printf 'NOTES=%q\n' "$DIR/notes"; printf 'DIR=%q\n' "$DIR"; cat; } > "$DIR/bin/$1"
  chmod +x "$DIR/bin/$1"
}
note='echo "$(basename "$0") $*" >> "$NOTES"'
fake uname <<< 'echo FreeBSD'
fake logger <<< 'echo "$*" >> "$DIR/log"'
fake ping <<< 'exit 0'
fake daemon <<< 'while [[ $1 == -* ]]; do [ "$1" = -o ] && shift; shift; done; "$@" >> "$DIR/out" 2>&1; exit 0'
fake lockf <<< 'now=; while [[ $1 == -* ]]; do [ "$1" != -t ] || { now=-n; shift; }; shift; done; exec flock -o $now "$@"'
fake mount <<< 'if [ $# = 0 ]; then cat "$DIR/mounts"; exit; fi; '"$note"'; echo "${*: -2:1} on ${*: -1} ($2, local, noatime)" >> "$DIR/mounts"'
fake umount << 'SH'
echo "umount $*" >> "$NOTES"
[ ! -e "$DIR/hangs" ] || exec sleep 60
[ ! -e "$DIR/busy" ] || [ "$1" = -f ] || { echo "Device busy"; exit 1; }
sed -i "\, ${*: -1} ,d" "$DIR/mounts"
SH
fake fuser <<< "$note"
fake fsck_ffs <<< "$note"'; exit "$(cat "$DIR/fsck")"'
fake zpool <<< "$note"
fake ifconfig <<< '[ $# != 1 ] || { echo "	carp: $(cat "$DIR/carp") vhid 1 advbase 1 advskew 0"; exit; }; '"$note"
fake sysctl <<< '[ "$1" != -n ] || exec cat "$DIR/preempt"; '"$note"
fake service <<< "$note"
fake hastctl << 'SH'
[ ! -e "$DIR/down" ] || { echo "[ERROR] Unable to connect to hastd."; exit 69; }
case $1 in
  role)
    echo "hastctl $*" >> "$NOTES"
    [ "$2" != primary ] || [ ! -e "$DIR/refuse" ] || { echo "[ERROR] the data are a mixture of old and new. Wait for the resync."; exit 5; }
    echo "$2" > "$DIR/role"
    ;;
  status)
    [ ! -e "$DIR/broken" ] || exit 78
    printf '{"resources":[{"name":"%s","role":"%s","provname":"%s-volume","remoteaddr":"tcp://10.0.0.2","status":"%s","inconsistent":%s,"split_brain":%s,"frontend":null}]}\n' \
      "${*: -1}" "$(cat "$DIR/role")" "${*: -1}" "$(cat "$DIR/status")" "$(cat "$DIR/inconsistent")" "$(cat "$DIR/split")"
    ;;
esac
SH
echo 1 > "$DIR/preempt"; echo init > "$DIR/role"; echo absent > "$DIR/status"; echo false > "$DIR/inconsistent"; echo false > "$DIR/split"; echo MASTER > "$DIR/carp"; echo 0 > "$DIR/fsck"; : > "$DIR/mounts"
ln -s /dev/null "$DIR/dev/shared-volume"
ln -s /dev/null "$DIR/dev/tank-volume"

export PATH=$DIR/bin:$PATH HAST_FAILOVER_ETC=$DIR/etc HAST_FAILOVER_RUN=$DIR/run HAST_DEVICES=$DIR/dev
sed "s,/srv/shared,$DIR/srv," "$ROOT/contrib/freebsd/examples/failover-ufs.conf" > "$DIR/etc/shared.conf"
sed 's/1@em0/2@em0/' "$ROOT/contrib/freebsd/examples/failover-zfs.conf" > "$DIR/etc/tank.conf"
echo MEETING_LIMIT=0 | tee -a "$DIR/etc/tank.conf" >> "$DIR/etc/shared.conf"
hf() { "$DIR/libexec/hast-failover" "$@" >> "$DIR/out" 2>&1; }
is() { [ "$(cat "$DIR/run/$1/state")" = "$2" ] || fail "$1 is $(cat "$DIR/run/$1/state"), not $2"; }
# did TEXT: the notes since the last call are exactly these lines.
did() {
  diff <([ $# = 0 ] || printf '%s\n' "$@") "$DIR/notes" > "$DIR/diff" || { cat "$DIR/diff" >&2; fail "other steps"; }
  : > "$DIR/notes"
}

noted() {  # TEXT [FILE]
  for _ in {1..200}; do ! grep -qs -- "$1" "$DIR/${2:-notes}" || return 0; sleep 0.05; done
  fail "not within 10 s: $1"
}

say "devd: BACKUP, MASTER and BACKUP again, in order"
"$DIR/libexec/hast-carp" 1@em0 BACKUP
is shared secondary
did "service nfsd onestop" "hastctl role secondary shared"
"$DIR/libexec/hast-carp" 1@em0 MASTER
is shared primary
did "hastctl role primary shared" "fsck_ffs -p $DIR/dev/shared-volume" "mount -t ufs -o noatime $DIR/dev/shared-volume $DIR/srv" \
  "service nfsd onestart"
hf check shared || fail "check"
hf promote shared || fail "promote a primary"
did # all is well
echo init > "$DIR/role" # hastd was restarted
hf promote shared || fail "promote a primary that lost its role"
is shared primary
did "service nfsd onestop" "umount $DIR/srv" "hastctl role secondary shared" "hastctl role primary shared" \
  "fsck_ffs -p $DIR/dev/shared-volume" "mount -t ufs -o noatime $DIR/dev/shared-volume $DIR/srv" "service nfsd onestart"
"$DIR/libexec/hast-carp" 1@em0 BACKUP
is shared secondary
did "service nfsd onestop" "umount $DIR/srv" "hastctl role secondary shared"
"$DIR/libexec/hast-carp" 9@em0 MASTER
did # nobody's address

say "a pool"
hf promote tank || fail "promote tank"
did "hastctl role primary tank" "zpool import -f -d $DIR/dev -o cachefile=none tank" "service samba_server onestart"
hf demote tank || fail "demote tank"
did "service samba_server onestop" "zpool list tank" "zpool export -f tank" "hastctl role secondary tank"

say "what a service leaves running is not waited for"
cp "$DIR/etc/shared.conf" "$DIR/etc/daemon.conf"
echo "START='sleep 60 & echo \$! > $DIR/left'" >> "$DIR/etc/daemon.conf"
hf promote daemon || fail "promote"
kill "$(cat "$DIR/left")" || fail "it was waited for"
hf demote daemon
rm "$DIR/etc/daemon.conf"
: > "$DIR/notes"

say "a file system that is in use is forced off, before its device goes"
echo UNMOUNT_LIMIT=2 >> "$DIR/etc/shared.conf"
hf promote shared || fail "promote"
: > "$DIR/notes"
touch "$DIR/busy"
hf demote shared || fail "demote"
uniq "$DIR/notes" > "$DIR/once"
mv "$DIR/once" "$DIR/notes"
did "service nfsd onestop" "umount $DIR/srv" "fuser -k -c $DIR/srv" "umount $DIR/srv" "umount -f $DIR/srv" "hastctl role secondary shared"
rm "$DIR/busy"

say "an unmount that hangs is left alone, and the device goes"
hf promote shared || fail "promote"
: > "$DIR/notes"
touch "$DIR/hangs"
hf demote shared || fail "demote"
did "service nfsd onestop" "umount $DIR/srv" "hastctl role secondary shared"
say "... and not waited for where hastd serves nothing"
: > "$DIR/mounts"
rm "$DIR/hangs"
hf promote shared || fail "promote"
touch "$DIR/hangs"
echo init > "$DIR/role"
sed -i 's/^UNMOUNT_LIMIT=2/UNMOUNT_LIMIT=600/' "$DIR/etc/shared.conf"
hf demote shared || fail "demote"
sed -i 's/^UNMOUNT_LIMIT=600/UNMOUNT_LIMIT=2/' "$DIR/etc/shared.conf"
rm "$DIR/hangs"
: > "$DIR/mounts"
say "what is wrong is said once, by the check and by the worker"
hf promote shared || fail "promote"
touch "$DIR/down"
: > "$DIR/log"
hf request secondary shared &
WATCH=$!
for _ in {1..5}; do hf check shared || true; sleep 0.5; done
rm "$DIR/down"
wait "$WATCH" || fail "demote"
WATCH=
for text in "cannot be asked" "did not become secondary"; do
  [ "$(grep -c "$text" "$DIR/log")" = 1 ] || fail "not said once: $text: $(cat "$DIR/log")"
done

say "a node that has just become secondary waits for a primary to show up, once"
hf demote shared
sed -i 's/MEETING_LIMIT=0/MEETING_LIMIT=6/' "$DIR/etc/shared.conf"
from=$SECONDS
hf promote shared || fail "promote"
[ $((SECONDS - from)) -ge 2 ] || fail "did not wait"
hf demote shared
echo complete > "$DIR/status"
hf check shared
echo absent > "$DIR/status" # the primary came, and died
from=$SECONDS
hf promote shared || fail "promote"
[ $((SECONDS - from)) -le 1 ] || fail "waited for a primary that had died"
sed -i 's/MEETING_LIMIT=6/MEETING_LIMIT=0/' "$DIR/etc/shared.conf"
hf demote shared
: > "$DIR/notes"

say "a refusal of hastd is final, until a primary has brought the node up to date"
touch "$DIR/refuse"
hf promote shared && fail "promoted"
is shared failed
grep -q "mixture of old and new" "$DIR/run/shared/reason" || fail "no reason: $(cat "$DIR/run/shared/reason")"
grep -q "^mount" "$DIR/notes" && fail "mounted what was refused"
hf check shared && fail "check is content with a failed promotion"
hf request secondary shared
is shared secondary
: > "$DIR/notes"
rm "$DIR/refuse"
hf check shared && fail "eligible again without a reason"
hf promote shared && fail "tried again"
did "service nfsd onestop" # undone; hastd was not even asked
hf request secondary shared
echo complete > "$DIR/status"
hf check shared || fail "in step again, yet not eligible"
[ ! -e "$DIR/run/shared/refused" ] || fail "the refusal stays"

say "a node in split-brain is not promoted, until it has what the other one wrote or a person says so"
echo absent > "$DIR/status"
echo true > "$DIR/split"
hf promote shared && fail "promoted in split-brain"
grep -q "shared is in split-brain" "$DIR/run/shared/reason" || fail "no reason: $(cat "$DIR/run/shared/reason")"
grep -q "role primary" "$DIR/notes" && fail "hastd was asked"
hf request secondary shared
hf check shared && fail "eligible again without a reason"
hf reset shared
hf check shared || fail "not eligible after a reset"
hf promote shared || fail "not promoted after a reset: $(cat "$DIR/run/shared/reason")"
hf demote shared
hf check shared && fail "eligible in split-brain: a reset counts twice"
hf reset shared
echo false > "$DIR/split"
echo complete > "$DIR/status"
hf check shared || fail "in step again, yet not eligible"
echo absent > "$DIR/status"
echo true > "$DIR/split"
hf check shared && fail "eligible: a reset counts for the next split-brain"
echo false > "$DIR/split"
echo complete > "$DIR/status"
hf check shared || fail "in step again, yet not eligible"

say "a primary that is still connected is waited for"
: > "$DIR/notes"
echo 'SESSION_LIMIT=1' >> "$DIR/etc/shared.conf"
hf promote shared && fail "promoted beside a connected primary"
grep -q "still connected" "$DIR/run/shared/reason" || fail "$(cat "$DIR/run/shared/reason")"
grep -q "role primary" "$DIR/notes" && fail "hastd was asked"
hf request secondary shared
: > "$DIR/notes"
say "... unless it is fenced"
echo "FENCE=$DIR/bin/fence FENCE_AFTER=0" >> "$DIR/etc/shared.conf"
fake fence <<< "$note"
hf promote shared || fail "$(cat "$DIR/run/shared/reason")"
[ "$(head -n 1 "$DIR/notes")" = "fence shared 10.0.0.2" ] || fail "$(head -n 1 "$DIR/notes")"
hf demote shared
: > "$DIR/notes"
say "a damaged file system waits for a person"
echo 8 > "$DIR/fsck"
hf promote shared && fail "mounted"
grep -q "^mount" "$DIR/notes" && fail "mounted what fsck refused"
hf request secondary shared
hf check shared && fail "eligible"
echo absent > "$DIR/status"
hf reset shared
hf check shared || fail "not eligible after a reset"
echo true > "$DIR/split"
hf check shared && fail "a reset for a file system counts for a split-brain"
echo false > "$DIR/split"
echo complete > "$DIR/status"
hf check shared || fail "in step again, yet not eligible"

say "hast-carp watch: CARP is told when this node cannot serve"
: > "$DIR/notes"
echo primary > "$DIR/run/shared/wanted"; echo failed > "$DIR/run/shared/state"
watch() {  # SIGNAL TEXT FILE: runs it until FILE has TEXT, then sends SIGNAL
  "$DIR/libexec/hast-carp" watch shared >> "$DIR/out" 2>&1 &
  WATCH=$!
  noted "$2" "$3"
  kill "-$1" "$WATCH"
  wait "$WATCH" 2> /dev/null || true
  WATCH=
}
watch TERM 240 run/shared/penalty
did "sysctl net.inet.carp.demotion=240" "sysctl net.inet.carp.demotion=-240"
say "... and a watch that follows a killed one takes back what that one had set"
watch KILL 240 run/shared/penalty
echo secondary > "$DIR/run/shared/wanted"; echo secondary > "$DIR/run/shared/state"
: > "$DIR/notes"
watch TERM '^0' run/shared/penalty
did "sysctl net.inet.carp.demotion=-240"
say "... an address whose group was demoted by hand goes, too"
watch TERM 240 run/shared/penalty
did "sysctl net.inet.carp.demotion=240" "sysctl net.inet.carp.demotion=-240"
say "... a master that cannot give the address away tries again by itself"
echo 0 > "$DIR/fsck"
echo primary > "$DIR/run/shared/wanted"; echo failed > "$DIR/run/shared/state"
watch TERM "^primary" run/shared/state
say "... and who is no master any more, and missed that, becomes secondary"
echo BACKUP > "$DIR/carp"
watch TERM "^secondary" run/shared/state
say "hast-carp now: the role that CARP has chosen"
: > "$DIR/notes"
echo MASTER > "$DIR/carp"
"$DIR/libexec/hast-carp" now >> "$DIR/out" 2>&1
is shared primary
echo BACKUP > "$DIR/carp"
"$DIR/libexec/hast-carp" now >> "$DIR/out" 2>&1
is shared secondary
say "hast-carp watch says so where CARP would not listen"
grep -q preempt "$DIR/out" && fail "it warns without a reason"
echo 0 > "$DIR/preempt"
"$DIR/libexec/hast-carp" watch shared >> "$DIR/out" 2>&1 &
WATCH=$!
noted "preempt is not 1" out
kill "$WATCH"
wait "$WATCH" || true
WATCH=

say "hast-ucarp: a node that could not serve leaves the other one time to take over"
fake ucarp << 'SH'
trap 'echo "ucarp gone" >> "$NOTES"; exit' TERM
echo "ucarp here" >> "$NOTES"
while :; do sleep 0.05; done
SH
cat >> "$DIR/etc/shared.conf" << 'CONF'
ADDRESSES="192.0.2.10/24 em0"
UCARP_INTERFACE=em0 UCARP_SOURCE=192.0.2.1 UCARP_VHID=51 UCARP_PASSFILE=/dev/null
CONF
cp "$ROOT/contrib/ucarp/hast-ucarp" "$DIR/libexec"
hf demote shared || fail "demote"
: > "$DIR/notes"
"$DIR/libexec/hast-ucarp" shared >> "$DIR/out" 2>&1 &
WATCH=$!
noted "ucarp here"
touch "$DIR/broken"
noted "ucarp gone"
from=$(date +%s%3N)
rm "$DIR/broken"
: > "$DIR/notes"
noted "ucarp here"
[ $(($(date +%s%3N) - from)) -ge 2800 ] || fail "hast-ucarp stands again before the other node can have noticed"
kill "$WATCH"
wait "$WATCH" || true
WATCH=
: > "$DIR/notes"

say "rc.d: the runtime folder before a start, CARP asked after it, groups down and role init before a stop, no reload of what is broken"
cat > "$DIR/rc.subr" << 'SH'
load_rc_config() { hast_enable=YES; }
warn() { echo "warn: $*"; }
run_rc_command() {
  case $1 in start) $start_precmd; $start_postcmd ;; stop) $stop_precmd ;; reload) $reload_precmd || exit ;; esac
  echo "$1 $command $command_args $required_modules"
}
SH
fake install <<< "$note"'; mkdir -p "${*: -1}"'
for name in hast-failover hast-carp; do fake "$name" <<< "$note"; done
mkdir "$DIR/groups"
: > "$DIR/groups/shared.conf"
sed "s,/etc/rc.subr,$DIR/rc.subr,; s,/usr/local/sbin/hastctl,hastctl,; s,/usr/local/libexec/hast,$DIR/bin,; s,^groups=.*,groups=$DIR/groups,; s,/var/run/hast$,$DIR/run/hast," "$ROOT/contrib/freebsd/rc.d/hast" > "$DIR/rc"
rc() { sh "$DIR/rc" "$1"; }
started="/usr/local/sbin/hastd -c /usr/local/etc/hast.yaml -P /var/run/hast/hastd.pid geom_gate:g_gate"
[ "$(rc start)" = "start $started" ] || fail "rc.d start"
did "install -d -m 0750 $DIR/run/hast" "hast-carp now"
hast_user=hast rc start > /dev/null
did "install -d -m 0750 -o hast $DIR/run/hast" "hast-carp now"
rc stop > /dev/null
did "hast-failover demote shared" "hastctl role -c /usr/local/etc/hast.yaml init all"
hast_node=left rc start | grep -q -- "-c /usr/local/etc/hast.yaml --node left -P" || fail "hastd does not hear of hast_node"
: > "$DIR/notes"
hast_node=left rc stop > /dev/null
did "hast-failover demote shared" "hastctl role -c /usr/local/etc/hast.yaml --node left init all"
[ "$(rc reload)" = "reload $started" ] || fail "rc.d reload"
touch "$DIR/broken"
rc reload && fail "rc.d reload takes a broken configuration"
rm "$DIR/broken"
say ok
