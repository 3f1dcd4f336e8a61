#!/usr/bin/env bash
# File systems and databases on the device of a pair: while they work the primary is killed, the secondary
# is promoted as docs/failover.md says, and everything that was committed is there. Twice, so that each
# node is once the one that dies. The checkers of others have the last word: e2fsck, btrfs scrub and
# check, SQLite's integrity_check, PostgreSQL's recovery, pg_amcheck and pg_checksums.
#
#   mounted_test.sh BUILD_DIR ext4|btrfs|sqlite|postgresql
. "$(dirname "$0")/../lib.sh"
WHAT=${1:?ext4, btrfs, sqlite or postgresql}
TORTURE=$HERE/torture
TOOL=(files mkfs.ext4 e2fsck) FS=ext4 OPTIONS=discard,errors=remount-ro SIZE=256M
case $WHAT in
  ext4) ;;
  btrfs) TOOL=(files mkfs.btrfs btrfs) FS=btrfs OPTIONS=discard=async SIZE=400M ;;
  sqlite) TOOL=(sqlite mkfs.ext4 e2fsck) ;;
  postgresql) TOOL=(postgresql mkfs.ext4 e2fsck setpriv psql) SIZE=512M ;;
  *) fail "unknown: $WHAT" ;;
esac
[ "$(id -u)" = 0 ] && [ -e /dev/fuse ] && [ -e /dev/loop-control ] || skip "needs root, FUSE and loop devices"
for tool in "${TOOL[@]:1}" nbdfuse fusermount3 losetup; do
  command -v "$tool" > /dev/null || skip "$tool is missing"
done
grep -qw "$FS" /proc/filesystems || modprobe "$FS" 2> /dev/null || skip "the kernel has no $FS"
if [ "$WHAT" = postgresql ]; then
  PG=$(find /usr/lib/postgresql -name initdb -printf '%h\n' 2> /dev/null | sort -V | tail -n 1)
  [ -n "$PG" ] && getent passwd postgres > /dev/null || skip "PostgreSQL is not installed (package postgresql)"
fi
KIND=${TOOL[0]} LIST=$DIR/committed MOUNT=$DIR/mount
mkdir "$MOUNT" "$DIR/fuse"
chmod 711 "$DIR" # PostgreSQL's user passes through

# The device --------------------------------------------------------------------------------------

FUSE='' LOOP='' SERVER=''
on_exit detach
attach() {
  rm -f "$DIR/fuse.pid"
  nbdfuse -P "$DIR/fuse.pid" "$DIR/fuse/disk" "$(uri "$1")" > "$DIR/fuse.log" 2>&1 &
  FUSE=$!
  PIDS+=("$FUSE")
  until_true 10 test -s "$DIR/fuse.pid" || skip "nbdfuse does not work here: $(cat "$DIR/fuse.log")"
  LOOP=$(losetup -f --show --direct-io=on "$DIR/fuse/disk") || skip "no loop devices here"
}
detach() {  # in this order, as much of it as there is; nbdfuse may not like that its server died
  {
    if mountpoint -q "$MOUNT"; then umount "$MOUNT" || umount -l "$MOUNT" || true; fi
    if [ -n "$LOOP" ]; then losetup -d "$LOOP" || true; fi
    if [ -n "$FUSE" ]; then
      fusermount3 -u "$DIR/fuse" || umount -l "$DIR/fuse" || true
      wait "$FUSE" || true
    fi
  } 2> /dev/null
  FUSE='' LOOP=''
}
mount_on() {
  attach "$1"
  mount -o "$OPTIONS" "$LOOP" "$MOUNT" || fail "the file system does not mount on $1"
}

# The database ------------------------------------------------------------------------------------

AS_POSTGRES=(setpriv --reuid postgres --regid postgres --clear-groups --inh-caps=-all)
pg_prepare() {
  mkdir "$MOUNT/data" "$DIR/pg"
  chown postgres "$MOUNT/data" "$DIR/pg"
  "${AS_POSTGRES[@]}" "$PG/initdb" -D "$MOUNT/data" --auth=trust --data-checksums --wal-segsize=1 -U postgres > "$DIR/initdb" 2>&1 \
    || fail "initdb: $(cat "$DIR/initdb")"
}
pg_start() {
  "${AS_POSTGRES[@]}" "$PG/postgres" -D "$MOUNT/data" -k "$DIR/pg" -c listen_addresses= -c shared_buffers=8MB \
    -c max_wal_size=16MB -c min_wal_size=4MB -c wal_sync_method=fdatasync >> "$DIR/postgres.log" 2>&1 &
  SERVER=$!
  PIDS+=("$SERVER")
  expect_soon pg_answers
}
pg_answers() {
  gone "$SERVER" && fail "PostgreSQL ended: $(tail -n 20 "$DIR/postgres.log")"
  psql -h "$DIR/pg" -U postgres -X -c 'select 1' postgres > /dev/null 2>&1
}
# Its processes hold the mount: all of them, as the death of their host would.
pg_kill() {
  local children
  children=$(pgrep -P "$SERVER") || true
  # shellcheck disable=SC2086
  kill -9 "$SERVER" $children 2> /dev/null || true
  wait "$SERVER" 2> /dev/null || true
  for child in $children; do until_true 10 gone "$child" || fail "a process of PostgreSQL stays"; done
}
pg_stop() {
  kill -INT "$SERVER"
  until_true "$PATIENCE" gone "$SERVER" || fail "PostgreSQL does not end"
  wait "$SERVER" || fail "PostgreSQL does not end in order: $(tail -n 20 "$DIR/postgres.log")"
}

PLACE=$MOUNT
if [ "$WHAT" = postgresql ]; then PLACE=$DIR/pg; fi
commits() { [ -e "$LIST" ] && wc -l < "$LIST" || echo 0; }
more_than() { [ "$(commits)" -gt "$1" ]; }

# Checkers ----------------------------------------------------------------------------------------

check_mounted() {
  case $WHAT in
    btrfs)
      btrfs scrub start -B "$MOUNT" > "$DIR/out" || { cat "$DIR/out"; fail "btrfs scrub"; }
      grep -q 'no errors found' "$DIR/out" || { cat "$DIR/out"; fail "btrfs scrub found errors"; }
      ;;
    postgresql)
      "$PG/pg_amcheck" -h "$DIR/pg" -U postgres --install-missing --heapallindexed postgres > "$DIR/out" 2>&1 \
        || { cat "$DIR/out"; fail "pg_amcheck"; }
      ;;
  esac
}
check_unmounted() {
  case $FS in
    ext4) e2fsck -f -n "$LOOP" > "$DIR/out" 2>&1 || { cat "$DIR/out"; fail "e2fsck"; } ;;
    btrfs) btrfs check --readonly "$LOOP" > "$DIR/out" 2>&1 || { cat "$DIR/out"; fail "btrfs check"; } ;;
  esac
}

# The story ---------------------------------------------------------------------------------------

# round OLD NEW: OLD is primary and dies, NEW goes on.
round() {
  local old=$1 new=$2 before status=0
  "$TORTURE/committer.py" write "$KIND" "$PLACE" "$LIST" > "$DIR/committer.out" 2>&1 &
  local committer=$!
  PIDS+=("$committer")
  before=$(commits)
  expect_soon more_than $((before + 150))
  kill_node "$old" # in the middle of commits
  wait "$committer" || status=$?
  [ $status = 3 ] || fail "the committer ended with status $status: $(cat "$DIR/committer.out")"
  say "$old died after $(commits) commits; $(cat "$DIR/committer.out")"
  if [ "$WHAT" = postgresql ]; then pg_kill; fi
  detach

  role "$new" primary
  mount_on "$new" # the journal, or the log tree, is replayed
  if [ "$WHAT" = postgresql ]; then pg_start; fi
  "$TORTURE/committer.py" verify "$KIND" "$PLACE" "$LIST" || fail "committed things are not on $new"
  check_mounted
  start "$old"
  role "$old" secondary
  in_sync_again() { [ "$(field "$new" status resync)" = $'complete\nnull' ]; }
  expect_soon in_sync_again
}

connected_pair
attach a
case $FS in
  ext4) mkfs.ext4 -q "$LOOP" ;;
  btrfs) mkfs.btrfs -q "$LOOP" ;;
esac
mount -o "$OPTIONS" "$LOOP" "$MOUNT"
if [ "$WHAT" = postgresql ]; then pg_prepare; pg_start; fi
in_sync_again() { [ "$(field a status resync)" = $'complete\nnull' ]; }
expect_soon in_sync_again
round a b
round b a
if [ "$WHAT" = postgresql ]; then
  pg_stop
  "${AS_POSTGRES[@]}" "$PG/pg_checksums" --check -D "$MOUNT/data" > "$DIR/out" 2>&1 || { cat "$DIR/out"; fail "pg_checksums"; }
fi
umount "$MOUNT"
check_unmounted
mount -o "$OPTIONS" "$LOOP" "$MOUNT"
umount "$MOUNT"
detach
in_sync a
role a init
role b init
compare_disks
say "ok, $(commits) commits, $SECONDS s"
