#!/usr/bin/env bash
# Under a service manager: hastd says when it is up, when it reloads and when it stops, and shows in
# between that it is alive. Hooks do not inherit the manager's socket.
. "$(dirname "$0")/lib.sh"
cat > "$DIR/hook" << SH
#!/bin/sh
echo "\$1 \${NOTIFY_SOCKET:-none} \${WATCHDOG_USEC:-none}" >> "$DIR/hook.out"
SH
chmod +x "$DIR/hook"
HOOK=$DIR/hook
write_config
make_disks
ctl a create r0

"$PY" - "$DIR/notify" > "$DIR/messages" << 'PYTHON' &
import socket, sys
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind(sys.argv[1])
while True:
    print(manager.recv(4096).decode().splitlines()[0], flush=True)
PYTHON
PIDS+=("$!")
expect_soon test -S "$DIR/notify"

export NOTIFY_SOCKET=$DIR/notify WATCHDOG_USEC=400000
start a
unset NOTIFY_SOCKET WATCHDOG_USEC
said() { [ "$(grep -c "^$1\$" "$DIR/messages")" -ge "$2" ]; }
expect_soon said READY=1 1
[ "$(head -n 1 "$DIR/messages")" = READY=1 ] || fail "not the first word: $(head -n 1 "$DIR/messages")"
expect_soon said WATCHDOG=1 3

say "a daemon that hangs is not called alive"
kill -STOP "${PID[a]}"
before=$(grep -c . "$DIR/messages")
sleep 1 # nothing may come: that can only be shown by time
[ "$(grep -c . "$DIR/messages")" -le $((before + 1)) ] || fail "still told to be alive"
kill -CONT "${PID[a]}"
expect_soon said WATCHDOG=1 5

kill -HUP "${PID[a]}"
expect_soon said RELOADING=1 1
expect_soon said READY=1 2
role a primary
expect_soon grep -q "^role none none$" "$DIR/hook.out"
stop_node a
expect_soon said STOPPING=1 1

say "without a manager it starts all the same"
start a
stop_node a
say ok
