# A room is a folder of src/ with its headers, sources and tests side by side.
#
#   sluice_room(<name> [TORCH] [SEPARATE] [LOOPS] DEPENDS <rooms...> LIBS <outside libraries...>)
#
# makes the static library sluice_<name> from every .cc that is not a test, and the test program <name>_test from every
# *_test.cc, registered with ctest one test case at a time under the label <name>. The list of files is the folder
# itself: a file cannot be forgotten. The arrows between rooms are checked by tools/check_rooms against tools/rooms.txt,
# and against cycles by GLOBAL_DEPENDS_NO_CYCLES. Files are compiled several at once but in rooms that are SEPARATE: most
# of these compile quickly, and no loop whose speed is measured shall depend on what is compiled beside it. Rooms with
# LOOPS, in which tests spend their time, are optimized in every build type. Tests of rooms with TORCH are registered one
# test suite at a time: to load libtorch takes half a second, longer than most of them.
function(sluice_room name)
  cmake_parse_arguments(ROOM "TORCH;SEPARATE;LOOPS" "" "DEPENDS;LIBS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")

  set(libs ${ROOM_LIBS})
  foreach(dep ${ROOM_DEPENDS})
    list(APPEND libs sluice_${dep})
  endforeach()

  if(sources)
    add_library(sluice_${name} STATIC ${sources})
    target_include_directories(sluice_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
    target_link_libraries(sluice_${name} PUBLIC ${libs})
    if(NOT ROOM_SEPARATE)
      sluice_unity(sluice_${name})
    endif()
    if(ROOM_LOOPS)
      target_compile_options(sluice_${name} PRIVATE $<$<CONFIG:Dev,Checked>:-O2>)
    endif()
  else()
    add_library(sluice_${name} INTERFACE)
    target_include_directories(sluice_${name} INTERFACE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
    target_link_libraries(sluice_${name} INTERFACE ${libs})
  endif()
  if(ROOM_TORCH AND sources)
    sluice_torch_target(sluice_${name})
  endif()

  if(SLUICE_TESTS AND tests)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE sluice_${name} GTest::gtest_main GTest::gmock)
    if(NOT ROOM_SEPARATE)
      sluice_unity(${name}_test)
    endif()
    sluice_test_environment(${name}_test)
    set(labels ${name})
    if(ROOM_TORCH)
      sluice_torch_target(${name}_test)
      list(APPEND labels torch)
    endif()
    # Tests named Golden... compare with references from outside and carry the label golden as well.
    set(others "-*.Golden*:*/Golden*")
    if(ROOM_TORCH)
      sluice_discover_suites(${name}_test ${name}_tests "${others}" "${labels}")
    else()
      sluice_discover_tests(${name}_test ${name}_tests "${others}" "${labels}" TIMEOUT 600)
    endif()
    sluice_discover_tests(${name}_test ${name}_golden_tests "*.Golden*:*/Golden*" "${labels};golden" TIMEOUT 600)
  endif()
endfunction()

# Several files of a target in one compilation: with libtorch, JSON or a test framework headers take most of the time.
# What a file keeps to itself then needs a name that its neighbours do not use; the compiler says where one is taken,
# but for functions of one name and different parameters, which become overloads.
function(sluice_unity target)
  if(SLUICE_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
  endif()
endfunction()

# The same for some files of a room that is SEPARATE: they become one object, the others stay as they are.
function(sluice_unity_group target group)
  if(SLUICE_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
    set_source_files_properties(${ARGN} PROPERTIES UNITY_GROUP ${group})
  endif()
endfunction()

# Registers the tests of a program that pass `filter`, one by one, under `labels`; the other arguments are properties.
function(sluice_discover_tests target list filter labels)
  gtest_discover_tests(${target} TEST_FILTER "${filter}" TEST_LIST ${list} DISCOVERY_TIMEOUT 120 PROPERTIES ${ARGN})
  sluice_label_tests(${list} "${labels}")
endfunction()

# The same for the test suites of a program.
function(sluice_discover_suites target list filter labels)
  set(suites ${CMAKE_CURRENT_BINARY_DIR}/${list}_suites.cmake)
  add_custom_command(TARGET ${target} POST_BUILD BYPRODUCTS ${suites} VERBATIM
                     COMMAND ${CMAKE_COMMAND} -DPROGRAM=$<TARGET_FILE:${target}> -DFILTER=${filter} -DLIST=${list}
                             -DSCRIPT=${suites} -P ${PROJECT_SOURCE_DIR}/cmake/ListSuites.cmake)
  set(script ${CMAKE_CURRENT_BINARY_DIR}/${list}_if_built.cmake)
  file(WRITE ${script} "if(EXISTS \"${suites}\")
  include(\"${suites}\")
else()
  add_test(${target}_NOT_BUILT ${target}_NOT_BUILT)
  set(${list} ${target}_NOT_BUILT)
endif()
")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${script})
  sluice_label_tests(${list} "${labels}")
endfunction()

# gtest_discover_tests takes no property with more than one value, so ctest adds the labels when it starts.
function(sluice_label_tests list labels)
  set(script ${CMAKE_CURRENT_BINARY_DIR}/${list}_labels.cmake)
  file(WRITE ${script} "foreach(test IN LISTS ${list})
  set_tests_properties(\${test} PROPERTIES LABELS \"${labels}\")
endforeach()
")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${script})
endfunction()

# Compiles a target against libtorch: one shared precompiled header (18 s -> 6 s a file), at most two at once.
function(sluice_torch_target target)
  target_link_libraries(${target} PRIVATE sluice_torch_dep)
  set_target_properties(${target} PROPERTIES JOB_POOL_COMPILE torch_compile)
  get_target_property(type ${target} TYPE)
  if(NOT TARGET sluice_torch_pch)
    file(WRITE ${CMAKE_BINARY_DIR}/torch_pch.cc "")
    add_library(sluice_torch_pch OBJECT ${CMAKE_BINARY_DIR}/torch_pch.cc)
    target_link_libraries(sluice_torch_pch PRIVATE sluice_torch_dep)
    target_precompile_headers(sluice_torch_pch PRIVATE <torch/torch.h>)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      target_compile_options(sluice_torch_pch PRIVATE -fpch-preprocess)
    endif()
    set_target_properties(sluice_torch_pch PROPERTIES JOB_POOL_COMPILE torch_compile)
  endif()
  target_precompile_headers(${target} REUSE_FROM sluice_torch_pch)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # -fPIC: programs get -fPIE otherwise, and g++ rejects a precompiled header made with another of the two.
    target_compile_options(${target} PRIVATE -fpch-preprocess -fPIC)
  endif()
endfunction()

# Tests find the source tree, its models and the program through definitions, never through the working directory.
function(sluice_test_environment target)
  target_compile_definitions(${target} PRIVATE SLUICE_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                             SLUICE_PROGRAM="${CMAKE_BINARY_DIR}/bin/sluice")
endfunction()
