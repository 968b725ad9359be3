# SPDX-License-Identifier: Apache-2.0
"""The codecs of all built-in types, one file per concept (SPEC section 8)."""

from .container import LIST, MAP
from .cuda import CUDA
from .image import IMAGE, AsImage
from .ndarray import NDARRAY
from .pickle import PICKLE
from .plain import BYTES, JSON, TEXT

ALL = (BYTES, TEXT, JSON, NDARRAY, IMAGE, LIST, MAP, CUDA, PICKLE)

__all__ = ["ALL", "BYTES", "CUDA", "IMAGE", "JSON", "LIST", "MAP", "NDARRAY", "PICKLE", "TEXT", "AsImage"]
