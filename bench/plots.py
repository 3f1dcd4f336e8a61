#!/usr/bin/env python3
"""Draws the plots of docs/performance.md: each from the CSV of the same name in the folder, by gnuplot.
By itself it draws again what was measured before: bench/plots.py [FOLDER]"""
import csv
import os
import shutil
import subprocess
import sys

# The same colour and dash for a candidate in every plot; they differ without colours, too.
LINES = {"nbdkit file": 'lc rgb "#777777" dt 2', "qemu-nbd": 'lc rgb "#aaaaaa" dt 3', "fullsync": 'lc rgb "#0b5394"',
         "memsync": 'lc rgb "#cc6600"', "async": 'lc rgb "#38761d"'}
POINTS = {"nbdkit file": 4, "qemu-nbd": 8, "fullsync": 7, "memsync": 5, "async": 9}
COLOURS = ['lc rgb "#0b5394" pt 7', 'lc rgb "#cc6600" pt 5', 'lc rgb "#38761d" pt 9']
SHOWN = (0.001, 0.995)  # of the latencies: the rest would only stretch the axis


def need_gnuplot():
    if not shutil.which("gnuplot"):
        raise SystemExit("bench: gnuplot is not installed, so nothing can be plotted; install gnuplot-nox (Debian) or "
                         "gnuplot-lite (FreeBSD), or leave out --plots")


def read(folder, name):
    with open(os.path.join(folder, name + ".csv"), newline="") as file:
        return list(csv.DictReader(file))


def block(name, rows):
    """A gnuplot data block."""
    return f"${name} << END\n" + "".join(" ".join(str(cell) for cell in row) + "\n" for row in rows) + "END\n"


def names(rows):
    return list(dict.fromkeys(row["candidate"] for row in rows))


def curves(rows, x, y, colours, titles):
    """One block of x and every y, and the plot command of a line each."""
    table = [[row[x], *(row[column] for column in y)] for row in rows]
    lines = [f'$facts using 1:{number + 2} with linespoints {colour} lw 1.5 title "{title}"'
             for number, (colour, title) in enumerate(zip(colours, titles))]
    return block("facts", table), "plot " + ", ".join(lines) + "\n"


def depth(folder):
    rows = read(folder, "depth")
    text, lines = "", []
    for number, name in enumerate(names(rows)):
        text += block(f"c{number}", [(row["depth"], float(row["iops"]) / 1000) for row in rows if row["candidate"] == name])
        lines.append(f'$c{number} with linespoints {line(name)} pt {POINTS.get(name, 6)} lw 1.5 title "{name}"')
    return 720, 420, text + f"""
set logscale x 2
set xlabel "requests in flight (queue depth)"
set ylabel "operations per second, thousands"
set yrange [0:*]
set key top left
plot {", ".join(lines)}
"""


def line(name):
    return LINES.get(name, 'lc rgb "black"')


def latency(folder):
    rows = read(folder, "latency")
    text, shares, sums, low, high = "", [], [], [], []
    for number, name in enumerate(names(rows)):
        own = [(float(row["us"]), int(row["operations"])) for row in rows if row["candidate"] == name]
        total, seen, table = sum(count for _, count in own), 0, []
        for us, count in own:
            seen += count
            table.append((us, 100 * count / total, 100 * seen / total))
        low.append(next(us for us, _, percent in table if percent >= 100 * SHOWN[0]))
        high.append(next(us for us, _, percent in table if percent >= 100 * SHOWN[1]))
        text += block(f"c{number}", table)
        shares.append(f'$c{number} using 1:2 with fsteps {line(name)} lw 1.5 title "{name}"')
        sums.append(f'$c{number} using 1:3 with lines {line(name)} lw 1.5 notitle')
    return 960, 400, text + f"""
set logscale x
set xrange [{min(low):g}:{max(high):g}]
set xlabel "latency of a 4 KiB write at depth 1, µs"
set multiplot layout 1,2
set ylabel "share of the writes, %"
set yrange [0:*]
plot {", ".join(shares)}
set ylabel "writes at least as fast, %"
set yrange [0:100]
plot {", ".join(sums)}
unset multiplot
"""


def resync(folder):
    rows = read(folder, "resync")
    during = [float(row["seconds"]) for row in rows if row["phase"] == "resync"]
    end = max(during, default=0)
    return 720, 400, block("facts", [(row["seconds"], float(row["iops"]) / 1000) for row in rows]) + f"""
set object 1 rectangle from 0, graph 0 to {end}, graph 1 fc rgb "#dde6f0" fs solid noborder behind
set label 1 "resync" at {end / 2}, graph 0.95 center
set label 2 "alone" at graph 0.02, graph 0.95
set label 3 "both nodes" at graph 0.98, graph 0.95 right
set xlabel "seconds since the resync began"
set ylabel "the client's operations per second, thousands"
set yrange [0:*]
unset key
plot $facts with lines lc rgb "#0b5394" lw 1.5
"""


def resources(folder):
    rows = read(folder, "resources")
    cpu, plot_cpu = curves(rows, "resources", ["all_cpu_us", "one_cpu_us", "rss_mib"], COLOURS,
                           ["all busy, depth 1 each", "one busy, depth 16"])
    return 960, 400, cpu + f"""
set logscale x 2
set xlabel "resources"
set yrange [0:*]
set multiplot layout 1,2
set key bottom left
set ylabel "CPU time of both nodes per write, µs"
{plot_cpu}
set ylabel "resident memory of the primary, MiB"
plot $facts using 1:4 with linespoints {COLOURS[0]} lw 1.5 notitle
unset multiplot
"""


def size(folder):
    rows = read(folder, "size")
    data, times = curves(rows, "gib", ["create_ms", "start_ms", "primary_ms", "rss_mib", "cpu_us"], COLOURS,
                         ["create, both nodes", "start, both nodes", "role primary"])
    return 1080, 380, data + f"""
set logscale x 4
set xtics ("1 GiB" 1, "16" 16, "256" 256, "4 TiB" 4096, "16" 16384)
set xlabel "size of the device"
set yrange [0:*]
set multiplot layout 1,3
set key top left
set ylabel "time, ms"
{times}
set ylabel "resident memory of the primary, MiB"
plot $facts using 1:5 with linespoints {COLOURS[0]} lw 1.5 notitle
set ylabel "CPU time of both nodes per write, µs"
plot $facts using 1:6 with linespoints {COLOURS[0]} lw 1.5 notitle
unset multiplot
"""


PLOTS = {"depth": depth, "latency": latency, "resync": resync, "resources": resources, "size": size}


def draw(folder):
    """Every plot whose numbers are there."""
    need_gnuplot()
    for name, plot in PLOTS.items():
        if not os.path.exists(os.path.join(folder, name + ".csv")):
            continue
        width, height, script = plot(folder)
        path = os.path.join(folder, name + ".svg")
        head = (f'set encoding utf8\nset terminal svg size {width},{height} font "Helvetica,12" background "white" dashed\n'
                f'set output "{path}.new"\nset border 3\nset tics nomirror out\nset grid y lc rgb "#dddddd" lt 1\n')
        run = subprocess.run(["gnuplot"], input=head + script + "set output\n", capture_output=True, text=True)
        if run.returncode or run.stderr:
            os.remove(path + ".new")
            raise SystemExit(f"bench: gnuplot did not draw {name}: {run.stderr}")
        os.replace(path + ".new", path)
        print(f"Drawn: {os.path.relpath(path)}")


if __name__ == "__main__":
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    draw(sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "docs", "performance"))
