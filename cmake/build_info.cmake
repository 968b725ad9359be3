# SPDX-License-Identifier: Apache-2.0
# Installs shmlane/_build.py, by which the Python package knows whether it has an extension and, if not, why.
configure_file("${CMAKE_CURRENT_LIST_DIR}/_build.py.in" _build.py @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/_build.py" DESTINATION shmlane COMPONENT python)
