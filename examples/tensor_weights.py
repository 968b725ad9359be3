# SPDX-License-Identifier: Apache-2.0
"""Weights that four workers share: one memory, no copies, and a lock for whoever changes them."""

import multiprocessing

import numpy as np

from shmlane import Queue, tensor

WORKERS = 4


def work(number: int, results: Queue) -> None:
    with tensor.attach_shared_tensor("weights", writable=False) as weights:
        sample = np.full(weights.shape[1], number, np.float32)
        with weights.read_locked() as matrix:
            results.put((number, (matrix @ sample).sum().item()))


def main() -> None:
    context = multiprocessing.get_context("spawn")
    results = Queue()
    with tensor.create_shared_tensor("weights", shape=(256, 512)) as weights:
        with weights.write_locked() as matrix:
            matrix[:] = 0.5
        workers = [context.Process(target=work, args=(number, results)) for number in range(WORKERS)]
        for worker in workers:
            worker.start()
        for number, total in sorted(results.get(timeout=60) for _ in workers):
            print(f"worker {number}: {total:.0f}")
        for worker in workers:
            worker.join()


if __name__ == "__main__":
    main()
