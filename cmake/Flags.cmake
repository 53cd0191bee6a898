# Compiler flags shared by every room.
#
# Never -ffast-math and never -march=native: results must not depend on the build machine. SIMD comes from Highway's
# run-time dispatch. -ffp-contract=off because g++ and clang fuse multiply-adds inside AVX2 functions otherwise, which
# changes float results between CPUs.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
# Dev: assertions on, and optimized as far as that costs the compiler little. Rooms with LOOPS (Room.cmake) get -O2 below
# Release.
set(CMAKE_CXX_FLAGS_DEV "-O1 -g1")
set(CMAKE_C_FLAGS_DEV "-O1 -g1")
# Checked: with sanitizers, optimizing would take more than half of a build's time, and tests are short.
set(CMAKE_CXX_FLAGS_CHECKED "-O0 -g1")
set(CMAKE_C_FLAGS_CHECKED "-O0 -g1")
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")
set(CMAKE_C_FLAGS_RELEASE "-O3 -DNDEBUG")

option(SLUICE_SCALAR "Compile only the plain C++ target of every kernel" OFF)
option(SLUICE_WERROR "Treat warnings as errors" OFF)

add_compile_options(-Wall -Wextra -Wshadow $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor> -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # g++ 12 sees overlapping copies in every `"text" + string` of its own library (GCC bug 105651).
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)
endif()
if(SLUICE_WERROR)
  add_compile_options(-Werror)
endif()
if(SLUICE_SCALAR)
  add_compile_definitions(HWY_COMPILE_ONLY_SCALAR)
endif()
if(SLUICE_SANITIZE)
  add_compile_options(-fsanitize=${SLUICE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${SLUICE_SANITIZE})
endif()
if(SLUICE_FUZZ)
  # Coverage for libFuzzer in every room; its main is linked by the targets of fuzz/ alone.
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_link_options(-fsanitize=fuzzer-no-link)
endif()

find_program(SLUICE_CCACHE ccache)
if(SLUICE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # pch_defines and time_macros: ccache refuses precompiled headers without them.
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      ${SLUICE_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
endif()

# libtorch needs 2 GB for each compilation: at most two at once, whatever the machine.
set_property(GLOBAL PROPERTY JOB_POOLS torch_compile=2)
