#!/usr/bin/env bash
# The init of one host of the failover test: process 1 of its own pid, mount, network and UTS name
# space. Killing it is a machine losing power. It gives the host its own /run, its own /etc and the
# files of `cmake --install`, then keeps hastd and the role manager running as systemd would.
#
#   usage: host.sh NODE DIR keepalived|ucarp      (from failover_test.sh)
set -euo pipefail
NODE=$1 DIR=$2 MANAGER=$3
HOST=$DIR/$NODE

hostname "$NODE"
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /srv
mkdir -p /run/hast/failover "$HOST/etc" "$HOST/work"
mount -t overlay overlay -o "lowerdir=$DIR/install/etc:/etc,upperdir=$HOST/etc,workdir=$HOST/work" /etc
mount -t overlay overlay -o "lowerdir=$DIR/install/usr:/usr" /usr
cp "$DIR/hast.yaml" /etc/hast.yaml
mkdir -p /etc/hast/failover
cp "$HOST/shared.conf" "/etc/hast/failover/$(cat "$DIR/group").conf"
ip link set lo up

restart_always() {  # LOG COMMAND...
  local log=$1
  shift
  while :; do
    "$@" >> "$log" 2>&1 || true
    echo "--- $1 ended" >> "$log"
    sleep 1
  done
}

restart_always "$HOST/hastd.log" hastd -F &
until hastctl status > /dev/null 2>&1; do sleep 0.05; done
case $MANAGER in
  keepalived)
    cp "$HOST/keepalived.conf" /etc/keepalived.conf
    restart_always "$HOST/manager.log" keepalived --dont-fork --log-console --log-detail -f /etc/keepalived.conf &
    ;;
  ucarp)
    echo secret-of-the-test > /etc/hast/failover/ucarp.pass
    restart_always "$HOST/manager.log" /usr/libexec/hast/hast-ucarp "$(cat "$DIR/group")" &
    ;;
esac
trap 'exit 0' TERM
wait
