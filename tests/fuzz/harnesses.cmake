# hast_fuzz_program(TARGET HARNESS ...): a program of that harness, any further sources, and the
# rooms whose headers the harness includes. So nobody keeps a list.
function(hast_fuzz_program target harness)
  add_executable(${target} ${harness} ${ARGN})
  file(STRINGS ${harness} includes REGEX "^#include \"hast/")
  foreach(line IN LISTS includes)
    string(REGEX REPLACE "^#include \"hast/([a-z]+)/.*" "hast_\\1" library "${line}")
    target_link_libraries(${target} PRIVATE ${library})
  endforeach()
endfunction()

file(GLOB HAST_FUZZ_HARNESSES CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*_fuzz.cpp)
