#!/usr/bin/env bash
# START, STOP and CHECK of the failover test's service: service.sh start COMMAND... | stop | check.
set -euo pipefail
PID=/run/record.pid

case $1 in
  start)
    setsid "${@:2}" < /dev/null > /run/record.log 2>&1 &
    echo $! > "$PID"
    for _ in {1..500}; do
      (: < "/dev/tcp/127.0.0.1/${*: -1}") 2> /dev/null && exit 0
      kill -0 "$(cat "$PID")" || break
      sleep 0.01
    done
    cat /run/record.log
    exit 1
    ;;
  stop)
    [ -e "$PID" ] || exit 0
    kill -9 "$(cat "$PID")" 2> /dev/null || true
    while kill -0 "$(cat "$PID")" 2> /dev/null; do sleep 0.01; done
    rm -f "$PID"
    ;;
  check) kill -0 "$(cat "$PID")" ;;
esac
