find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS program_options json)
find_package(spdlog REQUIRED)
find_package(fmt REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(ZLIB REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_library(HAST_LZF_LIBRARY lzf REQUIRED)
find_library(HAST_LZ4_LIBRARY lz4 REQUIRED)
# io_uring is used where it is: Linux with liburing at build time, and a kernel that allows it.
find_library(HAST_URING_LIBRARY uring)
if(NOT HAST_URING_LIBRARY)
  set(HAST_URING_LIBRARY "")
endif()

# Asio is header-only; this target carries its settings so that no file sets them by itself.
add_library(hast_asio INTERFACE)
target_link_libraries(hast_asio INTERFACE Boost::headers Threads::Threads)
# Memory of finished waits is kept for the next ones: two places, the default, are fewer than the
# coroutines that a wake-up goes through, and the rest would come from the heap every time.
target_compile_definitions(hast_asio INTERFACE BOOST_ASIO_NO_DEPRECATED
                           BOOST_ASIO_RECYCLING_ALLOCATOR_CACHE_SIZE=16)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 sees Asio's coroutine frames allocated by one function and freed by another (they are not).
  target_compile_options(hast_asio INTERFACE -Wno-mismatched-new-delete)
  if(HAST_SANITIZE MATCHES "thread")
    # Asio uses fences, which TSan does not see; the locks next to them it does.
    target_compile_options(hast_asio INTERFACE -Wno-tsan)
  endif()
endif()

# Compiler cache, when there is one: coroutine files are expensive to compile.
find_program(HAST_CCACHE ccache)
if(HAST_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${HAST_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${HAST_CCACHE})
endif()
