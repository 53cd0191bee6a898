# Writes the file LIST, in which ctest finds one test for each GoogleTest suite of PROGRAM, under LABELS,
# which are separated by commas.
execute_process(COMMAND ${PROGRAM} --gtest_list_tests --gtest_filter=-*.Golden*:*/Golden* OUTPUT_VARIABLE lines
                COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "," ";" LABELS "${LABELS}")
string(REGEX MATCHALL "[^\n]+" lines "${lines}")
set(script "")
foreach(line ${lines})
  if(line MATCHES "^([A-Za-z0-9_/]+)\\.")
    set(suite ${CMAKE_MATCH_1})
    string(APPEND script "add_test([==[${suite}]==] [==[${PROGRAM}]==] --gtest_filter=${suite}.*:-*.Golden*:*/Golden*)
set_tests_properties([==[${suite}]==] PROPERTIES TIMEOUT 600 LABELS \"${LABELS}\" SKIP_REGULAR_EXPRESSION [==[\\[  SKIPPED \\]]==])
")
  endif()
endforeach()
if(script STREQUAL "")
  message(FATAL_ERROR "${PROGRAM} lists no test suite")
endif()
file(WRITE ${LIST} "${script}")
