#!/usr/bin/env bash
# The data path takes nothing from the heap: while a client reads and writes, both nodes make next to no
# allocation (the ticks of timers make a few a second), however many requests there are.
. "$(dirname "$0")/lib.sh"
MODE=${1:-fullsync}
COUNTER=${2:?usage: $0 BUILD_DIR MODE COUNTER_LIBRARY}
MOST=100  # in the second that is watched

command -v fio > /dev/null || skip "fio is not installed"
[[ $(ldd "$BUILD/hastd") =~ lib(asan|tsan|ubsan) ]] && skip "a sanitizer brings its own allocator"

mkdir "$DIR/bin"
ln -s "$BUILD/hastctl" "$DIR/bin/hastctl"
cat > "$DIR/bin/hastd" << END
#!/bin/sh
LD_PRELOAD=$COUNTER HAST_ALLOCATIONS=$DIR/allocations exec $BUILD/hastd "\$@"
END
chmod +x "$DIR/bin/hastd"
BUILD=$DIR/bin

allocations() { od -An -t u8 "$DIR/allocations.${PID[$1]}" | tr -d ' '; }

connected_pair
for rw in randwrite randread; do
  (cd "$DIR" && exec fio --name=steady --ioengine=nbd --uri="nbd+unix:///r0?socket=$DIR/a.sock" --rw=$rw --bs=4k \
    --iodepth=16 --time_based --runtime=4 --norandommap --output-format=terse --terse-version=3) > "$DIR/fio" &
  client=$!
  sleep 2.5 # the client runs, and every extent has been touched
  a=$(allocations a) b=$(allocations b)
  sleep 1
  a=$(($(allocations a) - a)) b=$(($(allocations b) - b))
  wait $client || { cat "$DIR/fio"; fail "fio"; }
  made=$(tail -n 1 "$DIR/fio" | awk -F';' '{ print int(($6 + $47) / 4) }')
  say "$rw: $a allocations on a, $b on b in a second; the client made $made requests in four"
  [ "$made" -gt $((MOST * 20)) ] || fail "too few requests to tell"
  [ "$a" -le $MOST ] && [ "$b" -le $MOST ] || fail "more than $MOST allocations: the data path allocates"
done
say ok
