# hast_room(NAME LINK ...): the static library hast_NAME from src/NAME, headers in include/hast/NAME.
# Files named *_linux.* or *_freebsd.* are built on that platform only. A room without sources yet
# is an interface library.
function(hast_room name)
  cmake_parse_arguments(room "" "" "LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp
       ${PROJECT_SOURCE_DIR}/src/${name}/*.c)
  if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
    list(FILTER sources EXCLUDE REGEX "_linux\\.(cpp|c)$")
  endif()
  if(NOT CMAKE_SYSTEM_NAME STREQUAL "FreeBSD")
    list(FILTER sources EXCLUDE REGEX "_freebsd\\.(cpp|c)$")
  endif()
  if(sources)
    add_library(hast_${name} STATIC ${sources})
    target_include_directories(hast_${name} PUBLIC ${PROJECT_SOURCE_DIR}/include)
    target_link_libraries(hast_${name} ${room_LINK})
    if(HAST_COVERAGE AND name IN_LIST HAST_COVERED_ROOMS)
      hast_cover(hast_${name})
    endif()
  else()
    add_library(hast_${name} INTERFACE)
    target_include_directories(hast_${name} INTERFACE ${PROJECT_SOURCE_DIR}/include)
    list(FILTER room_LINK EXCLUDE REGEX "^(PUBLIC|PRIVATE)$")
    target_link_libraries(hast_${name} INTERFACE ${room_LINK})
  endif()
endfunction()

# Counts branches. These rooms throw nothing: without -fno-exceptions every call would be a branch
# to a clean-up that never runs. Whoever includes their headers counts, too: the linker may take
# inline functions from there; and without optimisation, or what they are inlined into would lend
# them its branches.
function(hast_cover target)
  target_compile_options(${target} PUBLIC --coverage -O0 -g1 PRIVATE -fno-exceptions)
endfunction()
