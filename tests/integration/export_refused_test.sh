#!/usr/bin/env bash
# The export is there only on a primary: in roles init and secondary clients are refused with the
# reason in words, and a client that is connected when the role goes loses its connection.
. "$(dirname "$0")/lib.sh"
write_config
make_disks
ctl a create r0
start a

refused() {
  local status=0
  LIBNBD_DEBUG=1 timeout 10 nbdinfo "$(uri a)" > "$DIR/out" 2>&1 || status=$?
  [ $status != 0 ] && [ $status != 124 ] || fail "the export is there in role $1 (status $status)"
  grep -q "r0 is $1 on this node" "$DIR/out" || fail "the refusal does not say $1: $(cat "$DIR/out")"
  say "refused: $(grep -m 1 -o "resource r0 is.*" "$DIR/out")"
}

refused init
role a secondary
refused secondary
role a primary
nbdinfo "$(uri a)" > "$DIR/out" || fail "no export on the primary"
grep -q "export-size: 66060288" "$DIR/out" || fail "wrong size: $(cat "$DIR/out")"
start_client a --errors-ok
some_writes
role a secondary
status=0
wait "$CLIENT" || status=$?
[ $status = 3 ] || fail "the client was not disconnected (status $status)"
refused secondary
role a primary
verify a
say ok
