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
  else()
    add_library(hast_${name} INTERFACE)
    target_include_directories(hast_${name} INTERFACE ${PROJECT_SOURCE_DIR}/include)
    list(FILTER room_LINK EXCLUDE REGEX "^(PUBLIC|PRIVATE)$")
    target_link_libraries(hast_${name} INTERFACE ${room_LINK})
  endif()
endfunction()
