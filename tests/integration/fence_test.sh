#!/usr/bin/env bash
# on_peer_loss and the fence hook: a primary that lost its peer keeps requests waiting until the peer
# is back, the hook succeeds or an operator says so; a promotion asks the hook unless the former
# primary handed over.
. "$(dirname "$0")/lib.sh"
FENCE=$DIR/fence
cat > "$FENCE" << 'SH'
#!/bin/sh
echo "$@" >> "${0}.calls"
[ -e "${0}.succeeds" ]
SH
chmod +x "$FENCE"
MORE_DEFAULTS=", fence: $FENCE, fence_timeout: 10"
calls() { [ -e "$FENCE.calls" ] && wc -l < "$FENCE.calls" || echo 0; }
asked() { [ "$(calls)" -gt "$1" ]; }

say "the first promotion asks the hook: nobody handed over"
started_pair
expect_status 5 ctl a role primary r0
grep -q "not certain" "$DIR/out" || fail "the refusal says: $(cat "$DIR/out")"
[ "$(cat "$FENCE.calls")" = "fence r0" ] || fail "the hook got: $(cat "$FENCE.calls")"
touch "$FENCE.succeeds"
role a primary
wait_for a status=complete resync=null dirty_bytes=0
rm "$FENCE.succeeds"

say "an orderly hand-over needs no fence"
client a --ops 100
before=$(calls)
role a secondary
role b primary
[ "$(calls)" = "$before" ] || fail "the hook was asked at a hand-over"
wait_for b status=complete resync=null
role b secondary
role a primary
wait_for a status=complete resync=null
[ "$(calls)" = "$before" ] || fail "the hook was asked at the hand-over back"

say "the peer dies: requests wait, and the hook is asked until it succeeds"
start_client a
some_writes 100
kill_node b
wait_for a status=degraded
expect_soon asked "$before"
case $(field a reason) in *"requests wait"*) ;; *) fail "the reason is: $(field a reason)" ;; esac
frozen=$(acknowledged)
until_true 1 false || true
[ "$(acknowledged)" = "$frozen" ] || fail "something was acknowledged without the peer"
[ "$("$BUILD/hastctl" dump -c "$DIR/hast.yaml" --node a r0 | awk '/localcnt/ { print $2 }')" = 0 ] ||
  fail "an episode was counted"
touch "$FENCE.succeeds"
some_writes 100
rm "$FENCE.succeeds"

say "the peer is back: a new loss has to be fenced anew; it returns before that"
start b
role b secondary
wait_for a status=complete resync=null
some_writes 100
kill_node b
wait_for a status=degraded
start b
role b secondary
wait_for a status=complete resync=null
some_writes 100

say "an operator who knows may say so"
kill_node b
wait_for a status=degraded
frozen=$(acknowledged)
expect_status 0 ctl a role --force primary r0
some_writes 100
stop_client
verify a

say "a demotion in the frozen state ends"
start b
role b secondary
wait_for a status=complete resync=null dirty_bytes=0
kill_node b
wait_for a status=degraded
role a init

say "freeze without a hook: until the peer is back"
stop_node a
MORE_DEFAULTS=", on_peer_loss: freeze"
write_config
before=$(calls)
start a
start b
role b secondary
role a primary
wait_for a status=complete resync=null
start_client a
some_writes 100
asked_before=$(log_count a "Asking")
kill_node b
wait_for a status=degraded
until_true 1 in_log a "requests wait until it is back, or an operator" || fail "the log does not say what to do"
frozen=$(acknowledged)
until_true 1 false || true
[ "$(acknowledged)" = "$frozen" ] || fail "something was acknowledged without the peer"
start b
role b secondary
some_writes 100
wait_for a status=complete resync=null
stop_client
verify a
[ "$(calls)" = "$before" ] && [ "$(log_count a "Asking")" = "$asked_before" ] || fail "a hook that is not configured was asked"
say ok
