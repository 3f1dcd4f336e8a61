#!/usr/bin/env bash
# Recorded conversations of an original primary, fed to our secondary: it answers what the original
# secondary answered, and its component holds the same bytes afterwards.
. "$(dirname "$0")/lib.sh"
REPLAY="$PY $TOOLS/replay_secondary.py"
scenarios=$($REPLAY list)
[ -n "$scenarios" ] || skip "no recorded conversations in $GOLDEN/wire"
replayed=0
for scenario in $scenarios; do
  read -r CHECKSUM COMPRESSION <<< "$($REPLAY config "$scenario")"
  write_config
  $REPLAY prepare "$scenario" "$DISK_b"
  start b
  case $scenario in
    *-b-init) ;;
    *-b-primary*) role b primary ;;
    *unknown-resource)
      stop_node b
      sed -i 's/^  r0:/  r9:/' "$DIR/hast.yaml"
      start b
      ;;
    *) role b secondary ;;
  esac
  $REPLAY run "$scenario" "$DISK_b" 127.0.0.2 "$PORT" 127.0.0.1 || fail "$scenario"
  alive b
  kill_node b
  replayed=$((replayed + 1))
done
[ $replayed -ge 10 ] || fail "only $replayed conversations"
say ok
