# Toolchain file: cross-compiles for FreeBSD with clang, not needed on FreeBSD itself:
#   cmake -S . -B build/freebsd -DCMAKE_TOOLCHAIN_FILE=cmake/freebsd.cmake -DFREEBSD_SYSROOT=DIR
# FREEBSD_SYSROOT is a copy of a FreeBSD system's /usr/include, /lib and /usr/lib. The libraries
# (Boost, fmt, spdlog, yaml-cpp, liblzf, liblz4) are looked for in its usr/local, and in that of
# FREEBSD_PACKAGES, so that the copy can stay as it is. Headers are enough to compile:
# `./dev freebsd-check DIR` does that.
set(CMAKE_SYSTEM_NAME FreeBSD)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(FREEBSD_TARGET x86_64-unknown-freebsd13.4 CACHE STRING "What clang calls the target")
set(FREEBSD_SYSROOT "" CACHE PATH "Root of a FreeBSD system")
set(FREEBSD_PACKAGES "" CACHE PATH "Another root, with the libraries in usr/local")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES FREEBSD_SYSROOT FREEBSD_PACKAGES FREEBSD_TARGET)
if(NOT EXISTS ${FREEBSD_SYSROOT}/usr/include/sys/param.h)
  message(FATAL_ERROR "FREEBSD_SYSROOT=${FREEBSD_SYSROOT} has no usr/include/sys/param.h: give the "
                      "folder that holds a FreeBSD system's usr/include")
endif()

find_program(CMAKE_C_COMPILER NAMES clang-19 clang-18 clang-17 clang REQUIRED)
find_program(CMAKE_CXX_COMPILER NAMES clang++-19 clang++-18 clang++-17 clang++ REQUIRED)
set(CMAKE_C_COMPILER_TARGET ${FREEBSD_TARGET})
set(CMAKE_CXX_COMPILER_TARGET ${FREEBSD_TARGET})
set(CMAKE_SYSROOT ${FREEBSD_SYSROOT})
set(CMAKE_CXX_FLAGS_INIT -stdlib=libc++)
set(CMAKE_EXE_LINKER_FLAGS_INIT -fuse-ld=lld)

set(CMAKE_FIND_ROOT_PATH ${FREEBSD_SYSROOT} ${FREEBSD_PACKAGES})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
