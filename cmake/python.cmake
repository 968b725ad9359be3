# SPDX-License-Identifier: Apache-2.0
# The extension module shmlane._native: the static library and its bindings, without OpenCV. Installed as component
# `python`, relative to site-packages.
file(GLOB SHMLANE_BINDINGS CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/cpp/bindings/*.cpp")
if(NOT SHMLANE_HAS_CUDA)
  list(FILTER SHMLANE_BINDINGS EXCLUDE REGEX "/(cuda|dlpack)\\.cpp$")
endif()
# NO_EXTRAS: no link-time optimisation; the calls that matter do not cross the border between library and bindings.
pybind11_add_module(_native MODULE NO_EXTRAS ${SHMLANE_BINDINGS})
shmlane_warnings(_native)
target_link_libraries(_native PRIVATE shmlane)
if(SHMLANE_HAS_CUDA)
  target_link_libraries(_native PRIVATE shmlane_cuda)
endif()
target_compile_definitions(_native PRIVATE SHMLANE_CUDA=$<BOOL:${SHMLANE_HAS_CUDA}>)
# The library's own symbols stay inside, so that a process may hold the extension and a shared libshmlane at once.
target_link_options(_native PRIVATE LINKER:--exclude-libs,ALL)
# pybind11's headers cost far more than any binding: two compilations in all instead of one per file.
set_target_properties(_native PROPERTIES
  CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON CXX_EXTENSIONS OFF
  UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
install(TARGETS _native LIBRARY DESTINATION shmlane COMPONENT python)

set(SHMLANE_BACKEND "native")
set(SHMLANE_BACKEND_REASON "")
include(build_info)
