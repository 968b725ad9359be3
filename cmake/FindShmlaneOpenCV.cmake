# SPDX-License-Identifier: Apache-2.0
# Finds the three OpenCV modules that shmlane::opencv uses, as one target shmlane::opencv_modules: by OpenCV's package
# file, or else by headers and libraries, because Debian's split packages come without that file.
find_package(OpenCV 4 QUIET CONFIG COMPONENTS core imgproc imgcodecs)
if(OpenCV_FOUND)
  set(ShmlaneOpenCV_INCLUDE_DIR ${OpenCV_INCLUDE_DIRS})
  set(ShmlaneOpenCV_LIBRARIES opencv_core opencv_imgproc opencv_imgcodecs)
  set(ShmlaneOpenCV_VERSION ${OpenCV_VERSION})
else()
  find_path(ShmlaneOpenCV_INCLUDE_DIR opencv2/imgcodecs.hpp PATH_SUFFIXES opencv4)
  foreach(module IN ITEMS core imgproc imgcodecs)
    find_library(ShmlaneOpenCV_${module}_LIBRARY opencv_${module})
    mark_as_advanced(ShmlaneOpenCV_${module}_LIBRARY)
  endforeach()
  mark_as_advanced(ShmlaneOpenCV_INCLUDE_DIR)
  if(ShmlaneOpenCV_core_LIBRARY AND ShmlaneOpenCV_imgproc_LIBRARY AND ShmlaneOpenCV_imgcodecs_LIBRARY)
    set(ShmlaneOpenCV_LIBRARIES
      "${ShmlaneOpenCV_core_LIBRARY}" "${ShmlaneOpenCV_imgproc_LIBRARY}" "${ShmlaneOpenCV_imgcodecs_LIBRARY}")
  endif()
  set(ShmlaneOpenCV_VERSION "")
  if(EXISTS "${ShmlaneOpenCV_INCLUDE_DIR}/opencv2/core/version.hpp")
    file(STRINGS "${ShmlaneOpenCV_INCLUDE_DIR}/opencv2/core/version.hpp" version_lines
         REGEX "^#define CV_VERSION_(MAJOR|MINOR|REVISION) ")
    string(REGEX REPLACE "[^0-9;]" "" version_numbers "${version_lines}")
    list(JOIN version_numbers "." ShmlaneOpenCV_VERSION)
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(ShmlaneOpenCV
  REQUIRED_VARS ShmlaneOpenCV_LIBRARIES ShmlaneOpenCV_INCLUDE_DIR VERSION_VAR ShmlaneOpenCV_VERSION)

if(ShmlaneOpenCV_FOUND AND NOT TARGET shmlane::opencv_modules)
  add_library(shmlane::opencv_modules INTERFACE IMPORTED)
  target_link_libraries(shmlane::opencv_modules INTERFACE ${ShmlaneOpenCV_LIBRARIES})
  target_include_directories(shmlane::opencv_modules SYSTEM INTERFACE ${ShmlaneOpenCV_INCLUDE_DIR})
endif()
