# SPDX-License-Identifier: Apache-2.0
"""Writes objects to standard output, for a pipe: python examples/stdio_producer.py | stdio_consumer"""

import numpy as np

from shmlane import StdioProducer

with StdioProducer() as tx:
    tx.push("some text")
    tx.push({"a": "dict", "of": ["plain", "JSON", 1, None]})
    for size in (1, 1_000, 1_000_000):
        tx.push(np.arange(size, dtype=np.float32))
