# SPDX-License-Identifier: Apache-2.0
# Something required is missing. A Python build that may do without the extension (SHMLANE_BUILD=auto) installs the
# reason instead, which the package tells at import; every other build ends here.
if(SHMLANE_BUILD_PYTHON AND SHMLANE_BUILD STREQUAL "auto")
  list(JOIN SHMLANE_MISSING "; " reason)
  message(WARNING "shmlane: the package is built without its C++ extension; missing: ${reason}")
  set(SHMLANE_BACKEND "pure")
  set(SHMLANE_BACKEND_REASON "this was missing when the package was built: ${reason}")
  include(build_info)
else()
  list(JOIN SHMLANE_MISSING "\n  - " missing)
  message(FATAL_ERROR "shmlane cannot be built here. Missing:\n  - ${missing}")
endif()
