#!/usr/bin/env python3
"""The layer table, held to the code: which room may include which, and where a library may appear.

Usage: layers_test.py SOURCE_DIR. Prints each violation as file:line and exits 1 if there is one.
"""
import pathlib
import re
import sys

ALLOWED = {
    "base": set(),
    "port": {"base"},
    "wire": {"base"},
    "ondisk": {"base"},
    "config": {"base"},
    "control": {"base"},
    "core": {"port", "ondisk", "base"},
    "engine": {"core", "wire", "port", "base", "ondisk"},
    "adapter": {"port", "base"},
    "app": {"engine", "core", "wire", "ondisk", "adapter", "port", "config", "control", "base"},
}
HASTCTL = {"control", "config", "ondisk", "adapter", "base", "port"}
# The core may see only the ports that know no Asio.
CORE_PORTS = {"disk", "frontend", "random"}
# Library -> places that may include it (prefixes of paths relative to the source root).
LIBRARIES = {
    r"boost/asio": ["include/hast/port/net.hpp", "include/hast/port/clock.hpp", "include/hast/port/wakeup.hpp",
                    "include/hast/engine/",
                    "src/engine/", "include/hast/adapter/", "src/adapter/", "include/hast/app/", "src/app/"],
    r"spdlog/": ["src/base/log.cpp"],
    r"yaml-cpp/": ["src/config/"],
    r"boost/json": ["src/control/", "tools/hastctl/"],
    r"boost/program_options": ["src/app/", "tools/hastctl/"],
    r"openssl/": ["src/wire/"],
    r"geom/": ["src/adapter/"],
}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^">]+)[">]')


def room_of(path):
    parts = path.parts
    if parts[:2] == ("include", "hast"):
        return parts[2]
    if parts[0] == "src":
        return parts[1] if len(parts) > 2 else "app"  # src/hastd.cpp is the program itself
    return "hastctl"


def violations(root):
    files = [p for folder in ("include", "src", "tools") for p in (root / folder).rglob("*")
             if p.suffix in (".hpp", ".cpp", ".h", ".c")]
    if len(files) < 20:
        yield f"{root}: only {len(files)} source files found; the check would prove nothing"
    for file in sorted(files):
        path = file.relative_to(root)
        room = room_of(path)
        allowed = HASTCTL if room == "hastctl" else ALLOWED.get(room)
        if allowed is None:
            yield f"{path}: room '{room}' is not in the layer table"
            continue
        for number, line in enumerate(file.read_text().splitlines(), 1):
            found = INCLUDE.match(line)
            if not found:
                continue
            target = found.group(1)
            if target.startswith("hast/"):
                other = target.split("/")[1]
                if other != room and other not in allowed:
                    yield f"{path}:{number}: {room} must not include {other} ({target})"
                if room == "core" and other == "port":
                    if target.split("/")[2].removesuffix(".hpp") not in CORE_PORTS:
                        yield f"{path}:{number}: core may use only the ports {sorted(CORE_PORTS)} ({target})"
            for pattern, places in LIBRARIES.items():
                if re.match(pattern, target) and not any(str(path).startswith(p) for p in places):
                    yield f"{path}:{number}: <{target}> belongs only in {', '.join(places)}"


def main():
    found = list(violations(pathlib.Path(sys.argv[1])))
    print("\n".join(found) if found else "layers: every include points down")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
