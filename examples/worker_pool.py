# SPDX-License-Identifier: Apache-2.0
"""Four processes take arrays from one queue and put their sums into another."""

import multiprocessing
import os

import numpy as np

from shmlane import Consumer, Producer


def work() -> None:
    with Consumer("tasks") as tasks, Producer("results") as results:
        for task in tasks:
            results.push({"task": task["number"], "sum": task["array"].sum().item(), "worker": os.getpid()})


def main() -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    # Both handles stay open until the workers are gone, so that one that starts late finds these queues, not new ones.
    with Consumer("tasks"), Consumer("results") as results:
        with Producer("tasks") as tasks:
            for number in range(20):
                tasks.push({"number": number, "array": np.full(100_000, number, np.float32)})
        for result in results:  # ends when the last worker has gone
            print(f"task {result['task']}: {result['sum']:.0f}, by process {result['worker']}")
        for worker in workers:
            worker.join()


if __name__ == "__main__":
    main()
