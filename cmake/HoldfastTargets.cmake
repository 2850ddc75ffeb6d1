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

# A build of the library; folders add their sources to it with holdfast_sources().
function(holdfast_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "EXCLUDE_FROM_ALL" "" "")
  add_library(${name})
  if(arg_EXCLUDE_FROM_ALL)
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
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

# Adds sources of the current folder to every build of the library.
function(holdfast_sources)
  if(HOLDFAST_CLANG_TIDY)
    set_property(SOURCE ${ARGN} APPEND PROPERTY OBJECT_DEPENDS ${PROJECT_SOURCE_DIR}/.clang-tidy)
  endif()
  foreach(target holdfast holdfast_canaries)
    if(TARGET ${target})
      foreach(source ${ARGN})
        target_sources(${target} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/${source})
      endforeach()
    endif()
  endforeach()
endfunction()

# A test program of the current folder: holdfast_test(name SOURCES a_test.cc b_test.cc [LIBRARIES ...] [LABELS ...]).
# CANARIES links the build of the library that has the canaries. The label "concurrent" is for programs that are worth
# running under the thread sanitizer.
function(holdfast_test name)
  if(NOT HOLDFAST_TESTS)
    return()
  endif()
  cmake_parse_arguments(PARSE_ARGV 1 arg "CANARIES" "" "SOURCES;LIBRARIES;LABELS")
  add_executable(${name} ${arg_SOURCES})
  holdfast_warnings(${name})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR})
  if(arg_CANARIES)
    target_link_libraries(${name} PRIVATE holdfast_canaries)
  else()
    target_link_libraries(${name} PRIVATE holdfast)
  endif()
  target_link_libraries(${name} PRIVATE GTest::gtest_main ${arg_LIBRARIES})
  if("concurrent" IN_LIST arg_LABELS)
    add_dependencies(concurrent_tests ${name})
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT 1800
                       ENVIRONMENT "GTEST_OUTPUT=xml:${CMAKE_BINARY_DIR}/gtest/${name}.xml")
endfunction()
