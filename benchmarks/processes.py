"""A measurement in a process of its own, so that none warms up or fills memory for the next."""

import concurrent.futures
import multiprocessing


def alone(function, *arguments):
    """Return the result of a function, called in a new process; what it raises is raised here."""
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, spawn) as pool:
        return pool.submit(_begin, function, *arguments).result()


def _begin(function, *arguments):
    import hardware  # noqa: F401  # before TensorFlow

    return function(*arguments)
