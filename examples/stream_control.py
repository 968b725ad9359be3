# SPDX-License-Identifier: Apache-2.0
"""A control loop of two processes: a plant tells its state, a controller answers with a force, five thousand times."""

import multiprocessing
import time

import numpy as np

from shmlane import stream

STEPS = 5000
TIME_STEP = 0.01  # of the simulated plant


def control() -> None:
    with stream.open("state") as states, stream.open("force") as forces:
        state, force = states.read(), np.zeros(1, np.float64)
        for step in range(STEPS):
            states.read_after(step, timeout=60, out=state)  # none is lost, however quick the plant is
            force[0] = -4.0 * state[0] - 2.0 * state[1]
            forces.write(force)


def main() -> None:
    with stream.stream("state", 2, np.float64) as states, stream.stream("force", 1, np.float64) as forces:
        controller = multiprocessing.get_context("spawn").Process(target=control)
        controller.start()
        state, force = np.array([1.0, 0.0]), np.zeros(1)
        begin = 0.0
        for step in range(STEPS):
            states.write(state)
            forces.read_after(step, timeout=60, out=force)
            begin = begin or time.perf_counter()  # the controller is there
            state += TIME_STEP * np.array([state[1], force[0]])
        micros = (time.perf_counter() - begin) / STEPS * 1e6
        controller.join()
        print(f"after {STEPS} steps the plant is at {state[0]:.3f}; {micros:.1f} us a step")


if __name__ == "__main__":
    main()
