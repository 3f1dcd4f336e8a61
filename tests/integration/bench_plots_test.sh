#!/usr/bin/env bash
# `./dev bench --plots` measures, writes its numbers and draws them; interrupted, it leaves neither a
# process nor a file behind. What it measures is not judged.
. "$(dirname "$0")/lib.sh"
BENCH=$HERE/../../bench
for tool in fio nbdkit gnuplot; do
  command -v $tool > /dev/null || skip "$tool is not installed"
done
mkdir "$DIR/tmp"
# In memory where there is such a folder: hundreds of disks are written, and files of 16 TiB are made.
DISKS=$(mktemp -d /dev/shm/hast.XXXXXX 2> /dev/null) || DISKS=$(mktemp -d "$DIR/disks.XXXXXX")
on_exit rm -rf "$DISKS"
export TMPDIR=$DIR/tmp

bench() { exec setsid "$BENCH/bench.sh" "$BUILD" --quick --modes fullsync --dir "$DISKS" "$@"; }

nothing_left() {
  local left
  left=$(ls -A "$DISKS" "$DIR/tmp")
  [ "$left" = "$(printf '%s:\n\n%s:' "$DISKS" "$DIR/tmp")" ] || fail "files are left after $1: $left"
  left=$(pgrep -af -- "$DISKS/" || true)
  [ -z "$left" ] || fail "processes are left after $1: $left"
}

(bench --plots --data "$DIR/data") > "$DIR/bench" 2>&1 || { cat "$DIR/bench"; fail "the benchmark"; }
for name in depth latency resync resources size; do
  [ "$(wc -l < "$DIR/data/$name.csv")" -gt 2 ] || fail "$name.csv holds no numbers"
  "$PY" - "$DIR/data/$name.svg" << 'END' || fail "$name.svg"
import sys, xml.etree.ElementTree as tree
svg = "{http://www.w3.org/2000/svg}"
root = tree.parse(sys.argv[1]).getroot()
words = " ".join("".join(text.itertext()) for text in root.iter(svg + "text"))
assert root.tag == svg + "svg", root.tag
assert any(word in words for word in ("thousands", "µs", "MiB")), f"no unit on an axis: {words}"
END
done
nothing_left "a whole run"
say "five plots"

rm -r "$DIR/data"
for name in INT TERM; do
  (bench --parts size --data "$DIR/data") > "$DIR/bench" 2>&1 &
  pid=$!
  until_true 60 pgrep -f -- "hastd -F -c $DISKS/" > /dev/null || { cat "$DIR/bench"; fail "no pair has come up"; }
  if [ $name = INT ]; then kill -INT -- -$pid; else kill -TERM $pid; fi # Ctrl-C reaches all of the group
  wait $pid && fail "SIG$name did not end the benchmark"
  nothing_left "SIG$name"
  [ ! -e "$DIR/data" ] || fail "an interrupted part has written numbers"
done
say ok
