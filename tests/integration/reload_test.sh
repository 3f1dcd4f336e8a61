#!/usr/bin/env bash
# SIGHUP: what changed is applied, what did not change does not notice; a broken file changes
# nothing; resources come and go; listen addresses move.
. "$(dirname "$0")/lib.sh"
connected_pair
start_client a --depth 4 --rate 800
some_writes 100
reload() { kill -HUP "${PID[$1]}"; }

say "replication and timeout change live: nobody is disconnected"
connects=$(log_count a "Connected to")
for mode in memsync async fullsync; do
  MODE=$mode TIMEOUT=$((TIMEOUT + 1))
  write_config
  reload a # the secondary takes up its role anew for it, as the original: not here
  wait_for a replication=$mode
  some_writes 100
done
[ "$(log_count a "Connected to")" = "$connects" ] || fail "the reload of replication reconnected"
MODE=memsync CHECKSUM=crc32 COMPRESSION=lzf
write_config
reload a
wait_for a checksum=crc32 compression=lzf
some_writes 100
wait_for a status=complete

say "a broken file changes nothing"
cp "$DIR/hast.yaml" "$DIR/good.yaml"
echo "resources: [" > "$DIR/hast.yaml"
reload a
expect_soon in_log a "not reloaded"
mv "$DIR/good.yaml" "$DIR/hast.yaml"
some_writes 100
wait_for a role=primary replication=memsync status=complete

say "a resource is added, used and removed"
truncate -s 32M "$DIR/a2.disk" "$DIR/b2.disk"
EXTRA_RESOURCES="  r1:
    nodes:
      a: { local: $DIR/a2.disk, remote: \"tcp://127.0.0.2:$PORT\", source: tcp://127.0.0.1, frontend: { type: nbd, listen: \"unix://$DIR/a2.sock\" } }
      b: { local: $DIR/b2.disk, remote: \"tcp://127.0.0.1:$PORT\", source: tcp://127.0.0.2, frontend: { type: nbd, listen: \"unix://$DIR/b2.sock\" } }
"
write_config
ctl a create r1
ctl b create r1
reload a
reload b
RESOURCE=r1 wait_for a role=init
RESOURCE=r1 wait_for b role=init
role b secondary r1
role a primary r1
RESOURCE=r1 wait_for a status=complete
nbdinfo --size "nbd+unix:///r1?socket=$DIR/a2.sock" > /dev/null || fail "the added resource is not served"
EXTRA_RESOURCES=
write_config
reload a
reload b
removed() { ! RESOURCE=r1 field "$1" role > /dev/null 2>&1; }
expect_soon removed a
expect_soon removed b
nbdinfo --size "nbd+unix:///r1?socket=$DIR/a2.sock" > /dev/null 2>&1 && fail "the removed resource is still served"
[ ! -e "$DIR/a2.sock" ] || fail "the removed resource's socket is left behind"

say "listen moves: the peer follows with its own reload"
PORT=$((PORT + 1))
LISTEN_b=tcp://127.0.0.2:$PORT REMOTE_a=tcp://127.0.0.2:$PORT
write_config
reload b
expect_soon bash -c ": < /dev/tcp/127.0.0.2/$PORT" 2> /dev/null
reload a
wait_for a "remoteaddr=$REMOTE_a" status=complete
some_writes 100
say "a listen address that is taken: a warning, the old one stays"
LISTEN_b=tcp://192.0.2.7:$PORT
write_config
reload b
expect_soon in_log b "192.0.2.7"
wait_for a status=complete
some_writes 100
LISTEN_b=$REMOTE_a
write_config
reload b

say "the control socket and the export move"
sed -i "s|$DIR/a.ctl|$DIR/a.ctl2|" "$DIR/hast.yaml"
reload a
expect_soon test -S "$DIR/a.ctl2"
expect_soon ctl a status
sed -i "s|$DIR/a.ctl2|$DIR/a.ctl|" "$DIR/hast.yaml"
reload a
wait_for a status=complete
stop_client
verify a
sed -i "s|$DIR/a.sock|$DIR/moved.sock|" "$DIR/hast.yaml"
reload a
expect_soon test -S "$DIR/moved.sock"
wait_for a role=primary status=complete
nbdinfo --size "nbd+unix:///r0?socket=$DIR/moved.sock" > "$DIR/out" || fail "not served at the new place"

say "another local component: the role is taken up again there"
in_sync
cp --sparse=always "$DISK_b" "$DIR/b-moved.disk"
DISK_b=$DIR/b-moved.disk
write_config
sed -i "s|$DIR/a.sock|$DIR/moved.sock|" "$DIR/hast.yaml"
reload b
wait_for b "localpath=$DISK_b" role=secondary
wait_for a status=complete
in_sync
alive a
alive b
say ok
