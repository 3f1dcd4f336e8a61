#!/usr/bin/env bash
# The nodes disagree about the size of the data or of the extents: they refuse to connect, the
# primary says which has how much, and what to do. With equal numbers they connect.
. "$(dirname "$0")/lib.sh"
truncate -s 80M "$DISK_b"
started_pair
role a primary
wait_for a status=degraded "reason~disagree"
reason=$(field a reason)
say "$reason"
case $reason in *"hastctl create"*"--layout original"*) ;; *) fail "the reason does not help" ;; esac
case $reason in *66060288*82837504* | *66060288*81788928* | *data*) ;; *) fail "no sizes in it" ;; esac
client a --ops 50 > /dev/null # served all the same

say "-m makes them equal; the extents still differ"
role b init
ctl b create -m 64M -e 1M r0
role b secondary
role a init # a new attempt at once: after such a refusal the next one is ten seconds away
role a primary
wait_for a status=degraded "reason~extents of"
role b init
ctl b create -m 64M r0
role b secondary
role a init
role a primary
in_sync
verify a
say ok
