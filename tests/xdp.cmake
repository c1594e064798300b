# Tests of the room xdp/.
find_package(PkgConfig REQUIRED)
pkg_check_modules(CRITERION REQUIRED IMPORTED_TARGET criterion)

function(palisade_xdp_unit name)
  add_executable(${name}_test unit/${name}_test.c)
  palisade_flags(${name}_test)
  target_link_libraries(${name}_test PRIVATE palisade_logger PkgConfig::CRITERION)
  add_test(NAME unit/${name} COMMAND ${name}_test)
endfunction()

enable_testing()
palisade_xdp_unit(page_store)
palisade_xdp_unit(epoch_file)
palisade_xdp_unit(lifeline)
palisade_xdp_unit(images)

# tests/e2e/wire.sh runs it in two namespaces.
add_executable(wire_peer e2e/wire_peer.c)
palisade_flags(wire_peer)
target_link_libraries(wire_peer PRIVATE palisade_xdp)
add_test(NAME e2e/wire COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/e2e/wire.sh ${PROJECT_BINARY_DIR})
set_tests_properties(e2e/wire PROPERTIES SKIP_RETURN_CODE 77)

# tests/e2e/loggers.sh: both loggers with a toy NF and the world around them.
foreach(tool stub_nf stub_traffic)
  add_executable(${tool} e2e/${tool}.c)
  palisade_flags(${tool})
  target_link_libraries(${tool} PRIVATE palisade_xdp)
endforeach()
add_test(NAME e2e/loggers
         COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/e2e/loggers.sh ${PROJECT_BINARY_DIR})
set_tests_properties(e2e/loggers PROPERTIES SKIP_RETURN_CODE 77)
