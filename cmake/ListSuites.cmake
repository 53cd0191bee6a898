# Writes SCRIPT, in which ctest finds one test for each GoogleTest suite of PROGRAM that has tests which pass FILTER, and
# the names of all in the variable LIST.
execute_process(COMMAND ${PROGRAM} --gtest_list_tests --gtest_filter=${FILTER} OUTPUT_VARIABLE lines
                COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]+" lines "${lines}")
set(tests "")
foreach(line ${lines})
  if(line MATCHES "^([A-Za-z0-9_/]+)\\.")
    set(suite ${CMAKE_MATCH_1})
    string(APPEND tests "add_test([==[${suite}]==] [==[${PROGRAM}]==] --gtest_filter=${suite}.*:${FILTER})
set_tests_properties([==[${suite}]==] PROPERTIES TIMEOUT 600 SKIP_REGULAR_EXPRESSION [==[\\[  SKIPPED \\]]==])
list(APPEND ${LIST} [==[${suite}]==])
")
  endif()
endforeach()
if(tests STREQUAL "")
  message(FATAL_ERROR "${PROGRAM} lists no test suite")
endif()
file(WRITE ${SCRIPT} "${tests}")
