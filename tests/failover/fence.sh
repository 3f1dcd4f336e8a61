#!/usr/bin/env bash
# FENCE of the failover test: asks the power switch, which is the test itself, to take the power of
# the host with that address. fence.sh FIFO GROUP ADDRESS
set -euo pipefail
echo "$3" > "$1"
[ "$(cat "$1.answer")" = off ]
