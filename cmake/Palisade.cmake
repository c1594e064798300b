# Flags that every target of the house shares.
set(PALISADE_SANITIZE "" CACHE STRING "Sanitizers for core, loggers and tests, e.g. address,undefined")

# Debian's oldest with what the plugin needs, and its newest; the tests of the pass run with each.
set(PALISADE_LLVM "16;22" CACHE STRING "Versions of LLVM, beside the one that builds Palisade, to build the plugin for")

function(palisade_flags target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Werror -fno-omit-frame-pointer)
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
  if(PALISADE_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${PALISADE_SANITIZE})
    target_link_options(${target} PRIVATE -fsanitize=${PALISADE_SANITIZE})
  endif()
endfunction()
