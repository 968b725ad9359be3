# SPDX-License-Identifier: Apache-2.0
"""Arrays of GPUs, on the stand-in driver or on a real one."""
