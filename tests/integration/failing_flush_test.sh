#!/usr/bin/env bash
# A disk that fails to flush for a moment, first the secondary's, then that of a primary
# without a peer: nobody restarts anything, and no flush is believed that should not be. INV-13.
. "$(dirname "$0")/lib.sh"
needs_fuse
SIZE=32M

# A component with a cache, and faults that are files in $DIR/NODE-faults.
volatile_disk() { # NODE
  truncate -s "$SIZE" "$DIR/$1-real"
  mkdir "$DIR/$1-faults"
  "$PY" "$HERE/torture/volatile_disk.py" "$DIR/$1-sock" "$DIR/$1-real" "$DIR/$1-faults" 1 &
  PIDS+=("$!")
  expect_soon test -S "$DIR/$1-sock"
  fuse_disk "$1" "$DIR/$1-sock"
}
flushes() { # NODE: it answers a flush without an error
  "$PY" -c 'import nbd, sys
handle = nbd.NBD()
handle.connect_uri(sys.argv[1])
handle.flush()' "$(uri "$1")" 2> /dev/null
}
volatile_disk a
volatile_disk b

connected_pair
client a --ops 300 --depth 8
in_sync a

say "the disk of the secondary fails"
touch "$DIR/b-faults/fail-flushes"
client a --ops 300 --depth 8
expect_soon in_log b "cannot be opened again"
[ "$(field b role)" = secondary ] || fail "b is $(field b role)"
say "b: $(field b reason)"
wait_for a status=degraded
say "a: $(field a reason)"

say "it is well again: nobody has to do anything"
rm "$DIR/b-faults/fail-flushes"
in_sync a
verify a

say "the disk of a primary without a peer fails, and is well again"
kill_node b
wait_for a status=degraded
touch "$DIR/a-faults/fail-flushes"
flushes a && fail "a flush succeeds"
rm "$DIR/a-faults/fail-flushes"
flushes a && fail "a later flush vouches for what may be lost"
case $(field a reason) in *"failed a flush"*) ;; *) fail "the reason is: $(field a reason)" ;; esac

say "the peer comes back, gets everything and stands in"
start b
role b secondary
wait_for a detached=true
flushes a || fail "a flush fails though the peer stands in"

say "the peer alone has the data, and its disk fails a flush: clients are told, once"
"$PY" -c 'import nbd, sys
handle = nbd.NBD()
handle.connect_uri(sys.argv[1])
handle.pwrite(handle.pread(4096, 0), 0)' "$(uri a)"
touch "$DIR/b-faults/fail-flushes"
flushes a && fail "a flush succeeds that the peer failed"
rm "$DIR/b-faults/fail-flushes"
expect_soon in_log a "what it had acknowledged and not flushed may be lost"
flushes a && fail "a flush covers what may be lost"
flushes a || fail "clients are told more than once"
ctl a attach r0 > "$DIR/out" || fail "attach"
in_sync a
verify a
say ok
