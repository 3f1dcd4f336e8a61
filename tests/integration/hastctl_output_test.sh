#!/usr/bin/env bash
# status, list, role and dump against a running pair, in each state: the shapes of the original's
# outputs (tests/golden/cli), byte for byte once numbers, paths and addresses are blanked, and its
# exit codes.
. "$(dirname "$0")/lib.sh"
MODE=memsync
TRANSCRIPTS=${HAST_VECTORS:-$GOLDEN}/cli/transcripts.json
[ -e "$TRANSCRIPTS" ] || TRANSCRIPTS=$GOLDEN/cli/transcripts.json
[ -e "$TRANSCRIPTS" ] || skip "no transcripts"
SAME="$PY $TOOLS/same_shape.py $TRANSCRIPTS"

# shaped TITLE NODE COMMAND...: our stdout has the shape of the transcript's, the exit status is its.
shaped() {
  local title=$1 node=$2 status=0
  shift 2
  ctl "$node" "$@" > "$DIR/out" 2> "$DIR/err" || status=$?
  $SAME "$title" "$status" "$DIR/out" || fail "$title"
}

write_config
make_disks
shaped "status: hastd not running" a status
shaped "list: hastd not running" a list r0
shaped "role: hastd not running" a role primary r0
shaped "create ok (silent)" a create r0
shaped "create: unknown resource" a create nosuch
shaped "dump ok" a dump r0
shaped "dump all" a dump all
shaped "dump unknown" a dump nosuch
ctl b create r0
start a
shaped "status: role init" a status
shaped "list: role init" a list
shaped "status unknown" a status nosuch
shaped "list unknown" a list nosuch
shaped "list known and unknown" a list r0 nosuch
shaped "status unknown and known" a status nosuch r0
shaped "role: bad role" a role master r0
shaped "role: unknown resource" a role primary nosuch
shaped "role init when already init" a role init r0
role a primary
shaped "status: degraded primary" a status
shaped "list: degraded primary" a list
shaped "dump on running primary" a dump r0
start b
shaped "role secondary" b role secondary r0
wait_for a status=complete
wait_for b status=complete
shaped "status: complete primary" a status
shaped "list: complete primary" a list
shaped "status: complete secondary" b status
shaped "list: complete secondary" b list
shaped "status all" a status all
grep -q "workerpid: ${PID[b]}$" <(ctl b list) || fail "workerpid is not hastd's pid"
kill_node b
wait_for a status=degraded
shaped "status: degraded after peer death" a status
shaped "list: degraded after peer death" a list
start b
role b secondary
kill_node a
expect_soon bash -c "'$BUILD/hastctl' status -c '$DIR/hast.yaml' --node b | grep -q 'r0	-        secondary'"
shaped "status: secondary without worker" b status
shaped "list: secondary without worker" b list

say "JSON"
ctl b status --json | "$PY" -c '
import json, sys
one, = json.load(sys.stdin)["resources"]
assert one["name"] == "r0" and one["role"] == "secondary" and one["status"] == "absent", one
assert one["workerpid"] == 0 and one["resync"] is None and one["datasize_bytes"] >= 0, one'
ctl b list --json all > /dev/null
expect_status 1 ctl b status --json nosuch
expect_status 72 "$BUILD/hastctl" status -c "$DIR/nosuch.yaml"
say ok
