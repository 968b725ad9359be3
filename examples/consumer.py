# SPDX-License-Identifier: Apache-2.0
"""Prints what cpp/examples/producer.cpp, or any other producer, puts into the queue "numbers"."""

from shmlane import Consumer

with Consumer("numbers") as rx:
    for obj in rx:  # ends when the last producer has gone
        print(type(obj).__name__, obj)
