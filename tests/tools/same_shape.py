#!/usr/bin/env python3
"""Compares an output with a transcript of the original's: same_shape.py TRANSCRIPTS TITLE STATUS FILE.

Numbers, humanised sizes, paths and addresses are blanked; everything else, spaces and tabs included,
must be the same. Lines that only newer versions print would show up as a difference."""
import json
import re
import sys

BLANKS = [(r"(tcp4?|unix)://\S+", "<address>"), (r"/\S+", "<path>"),
          (r"\b\d+(\.\d)?[KMGT]?B\b", "<size>"), (r"(?<![A-Za-z])\d+\b(?!:)", "<n>")]


def shape(text):
    for pattern, blank in BLANKS:
        text = re.sub(pattern, blank, text)
    return text


def main():
    transcripts, title, status, path = sys.argv[1:]
    found = [one for one in json.load(open(transcripts)) if one["title"] == title]
    if not found:
        print(f"no transcript is called '{title}'")
        return 1
    wanted, ours = shape(found[0]["stdout"]), shape(open(path).read())
    if found[0]["exit"] != int(status):
        print(f"{title}: exit status {status}, the original's {found[0]['exit']}")
        return 1
    if wanted != ours:
        print(f"{title}: ours\n{ours}--- the original's\n{wanted}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
