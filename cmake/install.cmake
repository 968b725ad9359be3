# SPDX-License-Identifier: Apache-2.0
# Install rules of the C++ side: library, headers, CMake package and pkg-config file.
include(CMakePackageConfigHelpers)
set(SHMLANE_CMAKE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/shmlane")

install(TARGETS shmlane EXPORT shmlaneTargets COMPONENT cpp)
install(EXPORT shmlaneTargets NAMESPACE shmlane:: DESTINATION "${SHMLANE_CMAKE_DIR}" COMPONENT cpp)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/cpp/include/shmlane" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT cpp)
if(SHMLANE_HAS_OPENCV)
  # A file of its own, read only where the consumer's machine has OpenCV too.
  install(TARGETS shmlane_opencv EXPORT shmlaneOpenCVTargets COMPONENT cpp)
  install(EXPORT shmlaneOpenCVTargets NAMESPACE shmlane:: DESTINATION "${SHMLANE_CMAKE_DIR}" COMPONENT cpp)
endif()
if(SHMLANE_HAS_CUDA)
  install(TARGETS shmlane_cuda EXPORT shmlaneCudaTargets COMPONENT cpp)
  install(EXPORT shmlaneCudaTargets NAMESPACE shmlane:: DESTINATION "${SHMLANE_CMAKE_DIR}" COMPONENT cpp)
endif()

configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/shmlaneConfig.cmake.in" shmlaneConfig.cmake
  INSTALL_DESTINATION "${SHMLANE_CMAKE_DIR}")
# Below 1.0, a minor version may break what the last one promised.
write_basic_package_version_file(shmlaneConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/shmlaneConfig.cmake" "${CMAKE_CURRENT_BINARY_DIR}/shmlaneConfigVersion.cmake"
              "${CMAKE_CURRENT_LIST_DIR}/FindShmlaneOpenCV.cmake"
        DESTINATION "${SHMLANE_CMAKE_DIR}" COMPONENT cpp)

# Relative to the file itself, so that `cmake --install --prefix` may put it anywhere.
set(SHMLANE_PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  file(RELATIVE_PATH SHMLANE_PC_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
  string(PREPEND SHMLANE_PC_PREFIX "\${pcfiledir}/")
endif()
configure_file("${CMAKE_CURRENT_LIST_DIR}/shmlane.pc.in" shmlane.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/shmlane.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT cpp)
