# SPDX-License-Identifier: Apache-2.0
# shmlane::cuda, arrays of GPUs: the driver is loaded at run time, so nothing of CUDA is linked.
file(GLOB SHMLANE_CUDA_SOURCES CONFIGURE_DEPENDS
     "${PROJECT_SOURCE_DIR}/cpp/src/os/cuda/*.cpp" "${PROJECT_SOURCE_DIR}/cpp/src/cuda/*.cpp")
add_library(shmlane_cuda ${SHMLANE_CUDA_SOURCES})
add_library(shmlane::cuda ALIAS shmlane_cuda)
shmlane_warnings(shmlane_cuda)
target_link_libraries(shmlane_cuda PUBLIC shmlane PRIVATE ${CMAKE_DL_LIBS})
target_include_directories(shmlane_cuda PRIVATE "${PROJECT_SOURCE_DIR}/cpp/src")
target_include_directories(shmlane_cuda SYSTEM PRIVATE "${SHMLANE_CUDA_INCLUDE_DIR}")
shmlane_library(shmlane_cuda)
set_target_properties(shmlane_cuda PROPERTIES EXPORT_NAME cuda)

# CUDA kernels of one file, for every generation that the toolkit knows, and as PTX for those to come.
set(SHMLANE_CUDA_ARCHITECTURES "75;80;86;89;90;100;120" CACHE STRING "Compute capabilities that are compiled for")
function(shmlane_fatbin fatbin source)
  set(codes "")
  foreach(architecture IN LISTS SHMLANE_CUDA_ARCHITECTURES)
    list(APPEND codes "-gencode=arch=compute_${architecture},code=sm_${architecture}")
  endforeach()
  list(GET SHMLANE_CUDA_ARCHITECTURES -1 newest)
  list(APPEND codes "-gencode=arch=compute_${newest},code=compute_${newest}")
  add_custom_command(OUTPUT "${fatbin}" COMMAND "${SHMLANE_NVCC}" -fatbin -std=c++17 -O3 ${codes} -o "${fatbin}" "${source}"
    DEPENDS "${source}" ${ARGN} COMMENT "CUDA kernels of ${source}" VERBATIM)
endfunction()

if(SHMLANE_NVCC)
  set(fatbin "${CMAKE_CURRENT_BINARY_DIR}/shmlane_cuda.fatbin")
  shmlane_fatbin("${fatbin}" "${PROJECT_SOURCE_DIR}/cpp/src/cuda/kernels.cu"
                 "${PROJECT_SOURCE_DIR}/cpp/src/cuda/gather.hpp")
  set_source_files_properties("${PROJECT_SOURCE_DIR}/cpp/src/cuda/copies.cpp" PROPERTIES
    COMPILE_DEFINITIONS "SHMLANE_CUDA_FATBIN=\"${fatbin}\"" OBJECT_DEPENDS "${fatbin}")
endif()
