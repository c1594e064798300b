# Tests of the room xdp/: units for tests/unit/run, programs for tests/e2e/{wire,loggers}.sh.
find_package(PkgConfig REQUIRED)
pkg_check_modules(CRITERION REQUIRED IMPORTED_TARGET criterion)

add_executable(xdp-tests
  unit/epoch_file_test.c unit/images_test.c unit/lifeline_test.c unit/page_store_test.c)
palisade_flags(xdp-tests)
target_link_libraries(xdp-tests PRIVATE palisade_logger PkgConfig::CRITERION)

foreach(tool wire_peer stub_nf stub_traffic)
  add_executable(${tool} e2e/${tool}.c)
  palisade_flags(${tool})
  target_link_libraries(${tool} PRIVATE palisade_xdp)
endforeach()
