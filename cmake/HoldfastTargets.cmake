# The few functions that the folders' CMakeLists.txt are written with.

function(holdfast_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
                                           -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # g++ 12 reports overlaps in std::string's own operators (GCC bug 105651).
    target_compile_options(${target} PRIVATE -Wno-restrict)
  endif()
  if(HOLDFAST_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()

# What the library and its parts are compiled with; folders add their sources with holdfast_sources().
function(holdfast_library name)
  target_include_directories(${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                            $<INSTALL_INTERFACE:include>
                                     PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(${name} PUBLIC Threads::Threads nlohmann_json::nlohmann_json
                                PRIVATE SQLite::SQLite3 PkgConfig::sodium $<LINK_ONLY:PostgreSQL::PostgreSQL>
                                        $<LINK_ONLY:PkgConfig::hiredis> OpenSSL::SSL absl::btree absl::flat_hash_map
                                        absl::synchronization absl::time)
  holdfast_warnings(${name})
  if(HOLDFAST_CLANG_TIDY)
    set_target_properties(${name} PROPERTIES CXX_CLANG_TIDY "${HOLDFAST_CLANG_TIDY}")
  endif()
endfunction()

# Adds sources of the current folder to the library.
function(holdfast_sources)
  if(HOLDFAST_CLANG_TIDY)
    set_property(SOURCE ${ARGN} APPEND PROPERTY OBJECT_DEPENDS ${PROJECT_SOURCE_DIR}/.clang-tidy)
  endif()
  list(TRANSFORM ARGN PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  target_sources(holdfast PRIVATE ${ARGN})
endfunction()

# The same for sources that have canaries. A program that links holdfast_canaries in front of the library has these
# instead of the library's: for that each has to be an object of its own, also where others are compiled together.
function(holdfast_canary_sources)
  holdfast_sources(${ARGN})
  set_source_files_properties(${ARGN} TARGET_DIRECTORY holdfast PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  if(TARGET holdfast_canaries)
    list(TRANSFORM ARGN PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
    target_sources(holdfast_canaries PRIVATE ${ARGN})
  endif()
endfunction()

# A test program of the current folder: holdfast_test(name SOURCES a_test.cc b_test.cc [LIBRARIES ...] [LABELS ...]).
# The label "concurrent" is for programs that are worth running under the thread sanitizer.
function(holdfast_test name)
  if(NOT HOLDFAST_TESTS)
    return()
  endif()
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBRARIES;LABELS")
  add_executable(${name} ${arg_SOURCES})
  holdfast_warnings(${name})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR})
  # Of the time that it takes to compile a suite the optimiser would have two thirds. The library has passed it.
  target_compile_options(${name} PRIVATE $<$<NOT:$<CONFIG:Debug>>:-O0>)
  target_link_libraries(${name} PRIVATE holdfast GTest::gtest_main ${arg_LIBRARIES})
  if("concurrent" IN_LIST arg_LABELS)
    add_dependencies(concurrent_tests ${name})
  endif()
  # Long enough for the longest of them on a slow machine.
  set(timeout_s 900)
  if(CMAKE_CXX_FLAGS MATCHES "sanitize=thread")
    set(timeout_s 2400)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${timeout_s}
                       ENVIRONMENT "GTEST_OUTPUT=xml:${CMAKE_BINARY_DIR}/gtest/${name}.xml")
endfunction()
