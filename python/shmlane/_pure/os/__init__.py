# SPDX-License-Identifier: Apache-2.0
"""What the pure backend asks of the operating system; the only place with ctypes."""
