#!/usr/bin/env bash
# Compiles everything for FreeBSD on Linux, warnings are errors: check.sh SYSROOT BUILD_DIR [TESTS]
# SYSROOT holds a FreeBSD system's usr/include. Without the libraries built for FreeBSD there (in
# its usr/local) this machine's headers of the same libraries are used, which are the same on every
# system, and nothing is linked.
set -euo pipefail

mkdir -p "$2"
sysroot=$(realpath "$1") build=$(realpath "$2") tests=${3:-OFF}
source=$(cd "$(dirname "$0")/../.." && pwd)
options=(-G Ninja -DCMAKE_TOOLCHAIN_FILE="$source/cmake/freebsd.cmake" -DFREEBSD_SYSROOT="$sysroot"
  -DCMAKE_BUILD_TYPE=RelWithDebInfo "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g0" -DHAST_TESTS="$tests")

# package NAME TARGET...: a CMake package that is headers only.
package() {
  local folder=$local/lib/cmake/$1 target
  mkdir -p "$folder"
  for target in "${@:2}"; do
    echo "add_library($target INTERFACE IMPORTED)"
    echo "set_target_properties($target PROPERTIES INTERFACE_INCLUDE_DIRECTORIES $local/include)"
    echo "set($1_${target#*::}_FOUND TRUE)"
  done > "$folder/$1Config.cmake"
  printf 'set(PACKAGE_VERSION 99)\nset(PACKAGE_VERSION_COMPATIBLE TRUE)\n' > "$folder/$1ConfigVersion.cmake"
}

# headers NAME...: of this machine, without the rest of its /usr/include.
headers() {
  local name
  mkdir -p "$local/include"
  for name; do
    [ -e "/usr/include/$name" ] || { echo "check.sh: /usr/include/$name is missing here" >&2; exit 1; }
    ln -sfn "/usr/include/$name" "$local/include/$name"
  done
}

if [ -d "$sysroot/usr/local/lib" ]; then
  echo "Libraries for FreeBSD are there: compiling and linking."
else
  echo "No libraries for FreeBSD in $sysroot/usr/local: compiling, not linking."
  local=$build/packages/usr/local
  mkdir -p "$local/lib"
  headers boost fmt spdlog yaml-cpp liblzf lz4.h
  package Boost Boost::headers Boost::program_options Boost::json
  package spdlog spdlog::spdlog
  package fmt fmt::fmt
  package yaml-cpp yaml-cpp
  if [ "$tests" = ON ]; then
    headers catch2
    package Catch2 Catch2::Catch2
  fi
  nothing=$local/lib/nothing.a
  : > "$nothing"
  options+=(-DFREEBSD_PACKAGES="$build/packages" -DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY
    -DCMAKE_CXX_FLAGS="-isystem $local/include"
    -DZLIB_LIBRARY="$nothing" -DOPENSSL_CRYPTO_LIBRARY="$nothing" -DHAST_LZF_LIBRARY="$nothing"
    -DHAST_LZ4_LIBRARY="$nothing"
    "-DCMAKE_CXX_LINK_EXECUTABLE=<CMAKE_COMMAND> -E touch <TARGET>")
fi
cmake -S "$source" -B "$build" "${options[@]}" > "$build/configure.log" 2>&1 ||
  { cat "$build/configure.log" >&2; exit 1; }
cmake --build "$build" -j "${JOBS:-$(getconf _NPROCESSORS_ONLN)}"
