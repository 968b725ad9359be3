# SPDX-License-Identifier: Apache-2.0
# The library, shmlane::shmlane, and its header-only companion for cv::Mat, shmlane::opencv.

# Warnings are for those who work on shmlane; who consumes its sources sees them but is not stopped by them.
function(shmlane_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                                           $<$<BOOL:${SHMLANE_WERROR}>:-Werror>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # Takes "text" + std::string for an overlapping copy: https://gcc.gnu.org/bugzilla/show_bug.cgi?id=105651
    target_compile_options(${target} PRIVATE -Wno-restrict)
  endif()
endfunction()

# What all libraries of shmlane's own have in common.
function(shmlane_library target)
  if(SHMLANE_CRASH_POINTS)
    target_compile_definitions(${target} PRIVATE SHMLANE_CRASH_POINTS=1)
  endif()
  set_target_properties(${target} PROPERTIES
    CXX_EXTENSIONS OFF
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    POSITION_INDEPENDENT_CODE ON
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
endfunction()

file(GLOB_RECURSE SHMLANE_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/cpp/src/*.cpp")
list(FILTER SHMLANE_SOURCES EXCLUDE REGEX "/cpp/src/(os/)?cuda/")  # a library of its own
add_library(shmlane ${SHMLANE_SOURCES})
add_library(shmlane::shmlane ALIAS shmlane)
shmlane_warnings(shmlane)
target_compile_features(shmlane PUBLIC cxx_std_20)
shmlane_library(shmlane)
target_include_directories(shmlane
  PUBLIC "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/cpp/include>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>"
  PRIVATE "${PROJECT_SOURCE_DIR}/cpp/src")
target_include_directories(shmlane SYSTEM PRIVATE "${SHMLANE_BOOST_INCLUDE_DIR}")
# librt holds shm_open and the semaphores before glibc 2.34.
target_link_libraries(shmlane PUBLIC nlohmann_json::nlohmann_json Threads::Threads rt)

if(SHMLANE_HAS_OPENCV)
  add_library(shmlane_opencv INTERFACE)
  add_library(shmlane::opencv ALIAS shmlane_opencv)
  set_target_properties(shmlane_opencv PROPERTIES EXPORT_NAME opencv)
  target_link_libraries(shmlane_opencv INTERFACE shmlane shmlane::opencv_modules)
endif()
