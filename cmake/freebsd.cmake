# Toolchain file: cross-compiles for FreeBSD with clang and a copy of the target's /usr/include, /lib
# and /usr/lib, where Boost, fmt, spdlog, yaml-cpp and liblzf have been added (HAST_FREEBSD_ROOT):
#   cmake -S . -B build/freebsd -DCMAKE_TOOLCHAIN_FILE=cmake/freebsd.cmake -DHAST_FREEBSD_ROOT=DIR
# Not needed on FreeBSD itself.
set(CMAKE_SYSTEM_NAME FreeBSD)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(HAST_FREEBSD_TARGET x86_64-unknown-freebsd13.4 CACHE STRING "What clang calls the target")
set(HAST_FREEBSD_ROOT "" CACHE PATH "Root of a FreeBSD system")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES HAST_FREEBSD_ROOT HAST_FREEBSD_TARGET)

find_program(CMAKE_C_COMPILER NAMES clang-19 clang-18 clang-17 clang REQUIRED)
find_program(CMAKE_CXX_COMPILER NAMES clang++-19 clang++-18 clang++-17 clang++ REQUIRED)
set(CMAKE_C_COMPILER_TARGET ${HAST_FREEBSD_TARGET})
set(CMAKE_CXX_COMPILER_TARGET ${HAST_FREEBSD_TARGET})
set(CMAKE_SYSROOT ${HAST_FREEBSD_ROOT})
set(CMAKE_CXX_FLAGS_INIT -stdlib=libc++)
set(CMAKE_EXE_LINKER_FLAGS_INIT -fuse-ld=lld)

set(CMAKE_FIND_ROOT_PATH ${HAST_FREEBSD_ROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
