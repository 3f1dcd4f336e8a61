add_compile_options(-Wall -Wextra -Wpedantic -Wshadow
                    -Wimplicit-fallthrough -Wcast-align -Wunused)
# The C++-only flags would warn in C files.
add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>
                    $<$<COMPILE_LANGUAGE:CXX>:-Woverloaded-virtual>
                    $<$<COMPILE_LANGUAGE:CXX>:-Wno-missing-field-initializers>)
if(HAST_WERROR)
  add_compile_options(-Werror)
endif()
if(HAST_SANITIZE)
  add_compile_options(-fsanitize=${HAST_SANITIZE} -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=${HAST_SANITIZE})
  add_compile_definitions(_GLIBCXX_ASSERTIONS)  # libc++ of FreeBSD checks by itself
  if(HAST_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
    if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
      # clang 14 reports Asio's type-erased calls as function-type mismatches.
      add_compile_options(-fno-sanitize=function)
    else()
      # These three double g++'s compile time of coroutine files and find nothing the others miss.
      add_compile_options(-fno-sanitize=null,alignment,vptr)
    endif()
  endif()
endif()
if(HAST_FUZZ)
  # Without it libFuzzer would see only the harness, not the decoder behind it.
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(HAST_COVERAGE)
  set(HAST_COVERED_ROOMS wire core)
  add_link_options(--coverage)
endif()
