#!/usr/bin/env bash
# The init of one host of the failover test: process 1 of its own pid, mount, network and UTS name
# space. Killing it is a machine losing power. It gives the host its own /run, its own /etc and the
# files of `cmake --install`, then keeps hastd and the role manager running as systemd would.
#
#   usage: host.sh NODE DIR keepalived|ucarp|pacemaker      (from failover_test.sh)
set -euo pipefail
NODE=$1 DIR=$2 MANAGER=$3
HOST=$DIR/$NODE

hostname "$NODE"
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /srv
mkdir -p /dev/hast
mount -t tmpfs tmpfs /dev/hast
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
  pacemaker)
    # What a host has for itself: shared memory and the cluster's state.
    mount -t tmpfs tmpfs /dev/shm
    mkdir -p "$HOST/var/lib" "$HOST/var/log" /run/crm
    cp -a /var/lib/pacemaker /var/lib/corosync "$HOST/var/lib"
    for folder in lib/pacemaker lib/corosync; do mount --bind "$HOST/var/$folder" "/var/$folder"; done
    mount -t tmpfs tmpfs /var/log
    mkdir -p /var/log/pacemaker /var/log/cluster
    chown hacluster:haclient /run/crm /var/log/pacemaker
    until ip -4 -o address show eth0 2> /dev/null | grep -q inet; do sleep 0.05; done
    cp "$DIR/corosync.conf" /etc/corosync/corosync.conf
    corosync -f >> "$HOST/manager.log" 2>&1 &
    until corosync-cfgtool -s > /dev/null 2>&1; do sleep 0.1; done
    pacemakerd >> "$HOST/manager.log" 2>&1 &
    ;;
esac
trap 'exit 0' TERM
wait
