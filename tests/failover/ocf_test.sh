#!/usr/bin/env bash
# The agent for Pacemaker: ocf-tester is content with it on a real pair, the promotion scores say which
# node is better, and a refusal takes the score away.
#
#   usage: ocf_test.sh BUILD_DIR       exit status 77: ocf-tester is not installed (resource-agents)
. "$(dirname "$0")/../integration/lib.sh"
AGENT=$HERE/../../contrib/ocf/hast
command -v ocf-tester > /dev/null || skip "ocf-tester is missing (package resource-agents)"

connected_pair
role a secondary # what a cluster finds

# The score goes to Pacemaker's crm_master or crm_attribute; here a file takes it.
mkdir "$DIR/sbin"
cat > "$DIR/sbin/crm_attribute" << SH
#!/bin/sh
case " \$* " in *" -D "*) echo none ;; *) for word; do score=\$word; done; echo "\$score" ;; esac > "$DIR/score.\$OCF_RESKEY_node"
SH
cp "$DIR/sbin/crm_attribute" "$DIR/sbin/crm_master"
chmod +x "$DIR/sbin"/*
export PATH=$DIR/sbin:$PATH

say "ocf-tester"
RUN_AS=(-o resource=r0 -o config="$DIR/hast.yaml" -o node=a -o hastctl="$BUILD/hastctl")
HA_SBIN_DIR=$DIR/sbin ocf-tester -n r0 "${RUN_AS[@]}" "$AGENT" > "$DIR/out" 2>&1 || { cat "$DIR/out"; fail "ocf-tester"; }
grep -q "passed all tests" "$DIR/out" || { cat "$DIR/out"; fail "ocf-tester did not say so"; }
[ "$(grep -c "^\*" "$DIR/out")" = "$(grep -c "support the reload action" "$DIR/out")" ] || { cat "$DIR/out"; fail "ocf-tester has remarks"; }

# ocf NODE ACTION: as Pacemaker calls it.
ocf() {
  OCF_ROOT=/usr/lib/ocf OCF_RESKEY_resource=${RESKEY-r0} OCF_RESKEY_config=$DIR/hast.yaml OCF_RESKEY_node=$1 \
    OCF_RESKEY_hastctl=$BUILD/hastctl OCF_RESOURCE_INSTANCE=r0 OCF_RESKEY_crm_feature_set=3.16.2 HA_SBIN_DIR=$DIR/sbin \
    OCF_RESKEY_CRM_meta_notify_type=post OCF_RESKEY_CRM_meta_interval=${INTERVAL:-10000} "$AGENT" "$2"
}
score() { cat "$DIR/score.$1"; }
expect_score() { [ "$(score "$1")" = "$2" ] || fail "the score of $1 is $(score "$1"), not $2"; }

say "roles and scores"
expect_status 7 ocf a monitor
expect_status 0 ocf a start
expect_status 0 ocf b start
expect_status 0 ocf a promote
wait_for a status=complete resync=null
expect_status 8 ocf a monitor
expect_score a 10000
expect_status 0 ocf b monitor
expect_score b 1000
say "a promotion waits for the old primary's session"
ocf b promote > "$DIR/promote.out" 2>&1 &
PROMOTION=$!
PIDS+=("$PROMOTION")
sleep 0.5 # it must not have happened: only time can show that
[ "$(field b role)" = secondary ] || fail "promoted beside a connected primary"
expect_status 0 ocf a demote
wait "$PROMOTION" || fail "$(cat "$DIR/promote.out")"
[ "$(field b role)" = primary ] || fail "not promoted"
wait_for b status=complete
say "the primary dies"
kill_node b
expect_status 7 ocf b monitor
wait_for a status=absent
expect_status 0 ocf a notify
expect_score a 100
expect_status 0 ocf a promote
wait_for a status=degraded
expect_status 8 ocf a monitor
expect_score a 9000
client a --ops 50 > /dev/null
expect_status 0 ocf a demote
expect_score a 500 # it went on alone: better than the other
say "a refusal is final"
kill_node a
mv "$DISK_a" "$DISK_a.away"
start a
expect_status 1 ocf a start
grep -q "does not exist" "$DIR/out" || fail "no reason: $(cat "$DIR/out")"
mv "$DISK_a.away" "$DISK_a"
expect_status 0 ocf a start
expect_status 0 ocf a stop
expect_score a none
expect_status 7 ocf a monitor
expect_status 0 ocf a stop
say "wrong parameters"
RESKEY='' expect_status 6 ocf a start
RESKEY=nobody expect_status 2 ocf a start
RESKEY=nobody INTERVAL=0 expect_status 7 ocf a monitor
RESKEY=nobody expect_status 0 ocf a stop
expect_status 3 ocf a dance
ocf a meta-data > "$DIR/meta.xml"
"$PY" -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$DIR/meta.xml" || fail "meta-data is no XML"
say ok
