# Every harness as an ordinary test, fuzz_NAME: each file of its corpus and some mutations of it, the
# same in every run and with every compiler.
include(${CMAKE_CURRENT_LIST_DIR}/harnesses.cmake)
foreach(harness IN LISTS HAST_FUZZ_HARNESSES)
  get_filename_component(name ${harness} NAME_WE)
  string(REGEX REPLACE "_fuzz$" "" name ${name})
  hast_fuzz_program(fuzz_replay_${name} ${harness} ${CMAKE_CURRENT_LIST_DIR}/../support/fuzz_replay.cpp)
  add_test(NAME fuzz_${name}
           COMMAND fuzz_replay_${name} ${CMAKE_CURRENT_LIST_DIR}/corpus/${name})
  set_tests_properties(fuzz_${name} PROPERTIES TIMEOUT 300 LABELS fuzz)
endforeach()
