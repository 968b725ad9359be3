# SPDX-License-Identifier: Apache-2.0
"""Prints the objects that come from standard input: stdio_producer | python examples/stdio_consumer.py"""

from shmlane import StdioConsumer

for obj in StdioConsumer():
    print(type(obj).__name__, obj)
