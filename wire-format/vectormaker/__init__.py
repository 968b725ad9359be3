# SPDX-License-Identifier: Apache-2.0
"""Makes the vectors from SPEC.md alone: no line of it knows the library, so that it bears independent witness."""
