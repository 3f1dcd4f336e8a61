#!/usr/bin/env bash
# The local component of the primary fails, first reads, then everything: the peer stands in, the
# client's device stays, every answer is right. INV-11, INV-12.
. "$(dirname "$0")/lib.sh"
needs_fuse
command -v nbdkit > /dev/null || skip "needs nbdkit"
SIZE=64M
ON_LOCAL_ERROR=${1:-detach}

# a's component: a file that FUSE serves from a disk which fails as long as a trigger file exists.
truncate -s "$SIZE" "$DIR/real"
nbdkit -f -U "$DIR/real.sock" -P "$DIR/nbdkit.pid" --filter=error file "$DIR/real" \
  error-pread=EIO error-pread-rate=100% error-pread-file="$DIR/fail-reads" \
  error-pwrite=EIO error-pwrite-rate=100% error-pwrite-file="$DIR/fail-writes" &
NBDKIT=$!
PIDS+=("$NBDKIT")
expect_soon test -s "$DIR/nbdkit.pid"
fuse_disk a "$DIR/real.sock"

connected_pair
client a --ops 600 --depth 8
verify a

say "reads fail: answered by the peer, and rewritten here"
touch "$DIR/fail-reads"
echo 3 > /proc/sys/vm/drop_caches 2> /dev/null || true
verify a
wait_for a role=primary status=complete "statistics.read_errors>0" "statistics.reads_repaired>0"
rm "$DIR/fail-reads"
verify a

say "writes fail: the peer has them"
touch "$DIR/fail-writes"
client a --ops 600 --depth 8
verify a
if [ "$ON_LOCAL_ERROR" = detach ]; then
  wait_for a role=primary status=degraded detached=true inconsistent=true "statistics.write_errors>0"
  case $(field a reason) in *"given up"*) ;; *) fail "the reason is: $(field a reason)" ;; esac

  say "the disk is well again: attached, completed, and alone good enough"
  rm "$DIR/fail-writes"
  ctl a attach r0 > "$DIR/out" || fail "attach"
  say "$(cat "$DIR/out")"
  wait_for a status=complete detached=false inconsistent=false resync=null
  ctl a attach r0 > "$DIR/out" || fail "attach once more"
  grep -q "nothing to do" "$DIR/out" || fail "attach once more says: $(cat "$DIR/out")"
  in_sync a
  kill_node b
  wait_for a status=degraded
  verify a
  start b
  role b secondary
  in_sync a
  touch "$DIR/fail-writes"
else
  # A map or metadata that cannot be written are reason enough to give it up all the same.
  wait_for a role=primary "statistics.write_errors>0"
fi

say "everything fails"
touch "$DIR/fail-reads"
client a --ops 300 --depth 8
verify a
alive a
say "log: $(grep -m 1 -F 'local component' "$DIR/a.log")"
[ "$(log_count a 'local component')" -lt 200 ] || fail "$(log_count a 'local component') lines in the log"

say "the peer alone has everything"
kill_node a
role b primary
verify b
say ok
