#!/usr/bin/env bash
# Compares a replicated pair with `nbdkit file` and `qemu-nbd` on the same disk in the same run:
#
#   bench/bench.sh BUILD_DIR [--rounds N] [--quick] [--modes fullsync,memsync,async] [--dir DIR]
#                            [--seconds S] [--size MIB] [--minutes M] [--workload WORD] [--output FILE.md]
#                            [--parts paths,cold,resync,threads,depth,resources,size] [--cold MIB] [--resync MIB]
#                            [--plots] [--data DIR] [--publish FILE.md]
#
# --dir names folders for the disks, comma separated (default: /dev/shm, and the folder of TMPDIR).
# --plots measures what is plotted and draws it into DIR (docs/performance); --publish does everything and
# puts the tables between the marks in FILE.md.
set -euo pipefail
[ -x /usr/bin/python3 ] && PY=/usr/bin/python3 || PY=python3
exec "$PY" "$(dirname "$0")/bench.py" "$@"
