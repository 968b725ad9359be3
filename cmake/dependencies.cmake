# SPDX-License-Identifier: Apache-2.0
# Finds what the chosen parts need. What is missing and required is collected in SHMLANE_MISSING, one sentence each, so
# that one run names all of it; what is missing and optional switches its part off and says so.
set(SHMLANE_MISSING "")
set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)  # who includes shmlane by FetchContent links what we found

if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo or MinSizeRel" FORCE)
endif()

include(CheckLanguage)
if(NOT CMAKE_CXX_COMPILER_LOADED)
  check_language(CXX)
  if(NOT CMAKE_CXX_COMPILER)
    list(APPEND SHMLANE_MISSING "a C++20 compiler (Debian package: g++)")
    return()
  endif()
  enable_language(CXX)
endif()
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

# Boost's headers are enough: Boost.Interprocess has no library to link. Only sources include them, never our headers.
find_path(SHMLANE_BOOST_INCLUDE_DIR boost/interprocess/shared_memory_object.hpp HINTS ${Boost_INCLUDE_DIRS})
mark_as_advanced(SHMLANE_BOOST_INCLUDE_DIR)
set(SHMLANE_BOOST_VERSION 0)
if(EXISTS "${SHMLANE_BOOST_INCLUDE_DIR}/boost/version.hpp")
  file(STRINGS "${SHMLANE_BOOST_INCLUDE_DIR}/boost/version.hpp" SHMLANE_BOOST_VERSION REGEX "^#define BOOST_VERSION ")
  string(REGEX MATCH "[0-9]+$" SHMLANE_BOOST_VERSION "${SHMLANE_BOOST_VERSION}")
endif()
if(SHMLANE_BOOST_VERSION LESS 107400)
  list(APPEND SHMLANE_MISSING "Boost headers 1.74 or newer (Debian package: libboost-dev)")
endif()

if(NOT TARGET nlohmann_json::nlohmann_json)
  find_package(nlohmann_json 3.11 CONFIG QUIET)
  if(NOT nlohmann_json_FOUND)
    list(APPEND SHMLANE_MISSING "nlohmann_json 3.11 or newer (Debian package: nlohmann-json3-dev)")
  endif()
endif()

if(SHMLANE_BUILD_PYTHON)
  find_package(Python 3.10 COMPONENTS Interpreter Development.Module QUIET)
  if(NOT Python_FOUND)
    list(APPEND SHMLANE_MISSING "Python 3.10 or newer with its headers (Debian package: python3-dev)")
  endif()
  set(PYBIND11_FINDPYTHON ON)
  find_package(pybind11 3 CONFIG QUIET)
  if(NOT pybind11_FOUND)
    list(APPEND SHMLANE_MISSING "pybind11 3 or newer (pip install pybind11, then -Dpybind11_ROOT=$(pybind11-config --cmakedir))")
  endif()
endif()

if(SHMLANE_BUILD_TESTS)
  find_package(doctest CONFIG QUIET)
  if(NOT doctest_FOUND)
    message(STATUS "shmlane: C++ tests are off: doctest was not found (Debian package: doctest-dev)")
    set(SHMLANE_BUILD_TESTS OFF)
  endif()
endif()

set(SHMLANE_HAS_OPENCV OFF)
if(SHMLANE_OPENCV)
  find_package(ShmlaneOpenCV MODULE QUIET)
  if(ShmlaneOpenCV_FOUND)
    set(SHMLANE_HAS_OPENCV ON)
    message(STATUS "shmlane: cv::Mat support is on: OpenCV ${ShmlaneOpenCV_VERSION}")
  elseif(SHMLANE_OPENCV STREQUAL "AUTO")
    message(STATUS "shmlane: cv::Mat support is off: OpenCV was not found. To turn it on, install OpenCV (Debian packages: "
                   "libopencv-core-dev libopencv-imgproc-dev libopencv-imgcodecs-dev) and configure with -DSHMLANE_OPENCV=ON")
  else()
    list(APPEND SHMLANE_MISSING "OpenCV 4, because of SHMLANE_OPENCV=${SHMLANE_OPENCV} (Debian packages: \
libopencv-core-dev libopencv-imgproc-dev libopencv-imgcodecs-dev)")
  endif()
else()
  message(STATUS "shmlane: cv::Mat support is off: SHMLANE_OPENCV=${SHMLANE_OPENCV}; turn it on with -DSHMLANE_OPENCV=ON")
endif()

set(SHMLANE_HAS_CUDA OFF)
if(SHMLANE_CUDA)
  # Of the toolkit only cuda.h is needed, and nvcc for what copies arrays that are not contiguous; the driver itself is
  # loaded when it is first used, so that what is built runs on machines without a GPU.
  find_path(SHMLANE_CUDA_INCLUDE_DIR cuda.h
    HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES include targets/x86_64-linux/include)
  find_program(SHMLANE_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
  mark_as_advanced(SHMLANE_CUDA_INCLUDE_DIR SHMLANE_NVCC)
  set(SHMLANE_CUDA_VERSION 0)
  if(SHMLANE_CUDA_INCLUDE_DIR)
    file(STRINGS "${SHMLANE_CUDA_INCLUDE_DIR}/cuda.h" SHMLANE_CUDA_VERSION REGEX "^#define CUDA_VERSION ")
    string(REGEX MATCH "[0-9]+$" SHMLANE_CUDA_VERSION "${SHMLANE_CUDA_VERSION}")
  endif()
  if(SHMLANE_CUDA_VERSION GREATER_EQUAL 11040)
    set(SHMLANE_HAS_CUDA ON)
    message(STATUS "shmlane: arrays of GPUs are on: cuda.h of version ${SHMLANE_CUDA_VERSION}, nvcc: ${SHMLANE_NVCC}")
  elseif(SHMLANE_CUDA STREQUAL "AUTO")
    message(STATUS "shmlane: arrays of GPUs are off: no cuda.h of CUDA 11.4 or newer was found. To turn them on, install the "
                   "CUDA toolkit (set CUDA_HOME if it is not in /usr/local/cuda) and configure with -DSHMLANE_CUDA=ON")
  else()
    list(APPEND SHMLANE_MISSING "cuda.h of CUDA 11.4 or newer, because of SHMLANE_CUDA=${SHMLANE_CUDA} (the CUDA \
toolkit; set CUDA_HOME if it is not in /usr/local/cuda)")
  endif()
else()
  message(STATUS "shmlane: arrays of GPUs are off: SHMLANE_CUDA=${SHMLANE_CUDA}; turn them on with -DSHMLANE_CUDA=ON")
endif()
