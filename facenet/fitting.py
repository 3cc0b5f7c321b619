"""Giving a network its arrays: each matched by name and shape, each exactly once."""

import contextlib

import numpy as np

from facenet.errors import BuildError, WeightsError
from facenet.inception_resnet_v1 import build_inception_resnet_v1
from facenet.names import BATCH_NORMS

STEM_FILTERS = 32  # of Conv2d_1a_3x3 at width 1.0
WIDTHS = (0.5, 1.0)
LARGEST_EMBEDDING = 4096
GAMMAS = tuple(f"{layer}/gamma" for layer in BATCH_NORMS)
FLOATS = (2, 4, 8)  # bytes


def build_network(contents):
    """Build the network that the arrays of a weight file fit, and load it.

    Names, shapes and types are checked before anything is read. Batch normalisations with a
    factor gamma, which this network lacks, are folded exactly into the kernels before them.

    Args:
        contents: `Contents`, open.

    Returns:
        A `keras.Model`, see `build_inception_resnet_v1`.

    Raises:
        WeightsError: an array is missing, unknown, of another shape or type, not finite, or a
            negative variance.
        BuildError: something else is wrong than the file.
    """
    sizes = _sizes(contents)
    with _blaming_no_file():
        network = build_inception_resnet_v1(*sizes)
    variables = {
        f"{layer.name}/{variable.name}": variable
        for layer in network.layers
        for variable in layer.weights
    }
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    has_gammas = any(name in contents.arrays for name in GAMMAS)
    if has_gammas:
        shapes |= {name: shapes[name.replace("/gamma", "/beta")] for name in GAMMAS}
    _check_declarations(contents, shapes)
    for name, variable in variables.items():
        array = _read(contents, name)
        gamma_name = _gamma_name(name)
        if has_gammas and gamma_name in shapes:
            with np.errstate(over="ignore"):
                array = array * _read(contents, gamma_name)
            _check_finite(contents, name, array)
        with _blaming_no_file():
            variable.assign(array)
    return network


@contextlib.contextmanager
def _blaming_no_file():
    try:
        yield
    except Exception as error:  # Keras and its backends raise many kinds
        reason = " ".join(f"{type(error).__name__} {error}".split())[:200]
        raise BuildError(f"FaceNet cannot be built on this machine: {reason}") from error


def _sizes(contents):
    """Return (width, embedding size) as declared by the first and the last kernel."""
    for name, rank in (("Conv2d_1a_3x3/kernel", 4), ("Bottleneck/kernel", 2)):
        if name not in contents.arrays or len(contents.arrays[name].shape) != rank:
            own_name = contents.file_names.get(name, name)
            raise WeightsError(f"holds no array {own_name} of rank {rank}, so it is no FaceNet")
    width = contents.arrays["Conv2d_1a_3x3/kernel"].shape[-1] / STEM_FILTERS
    embedding_size = contents.arrays["Bottleneck/kernel"].shape[-1]
    if width not in WIDTHS or not 1 <= embedding_size <= LARGEST_EMBEDDING:
        raise WeightsError(
            f"has {width:g} times the filters and {embedding_size} outputs; known are widths "
            f"{' and '.join(map(str, WIDTHS))} and 1 to {LARGEST_EMBEDDING} outputs"
        )
    return width, embedding_size


def _check_declarations(contents, shapes):
    """Refuse arrays that are missing, unknown, or declared with another shape or type."""
    arrays = contents.arrays

    def listed(names):
        return ", ".join(contents.file_names.get(name, name) for name in sorted(names)[:3])

    missing, unknown = shapes.keys() - arrays.keys(), arrays.keys() - shapes.keys()
    if missing or unknown:
        parts = [(missing, "arrays missing"), (unknown, "unknown")]
        raise WeightsError(
            "does not fit Inception-ResNet-v1: "
            + ", ".join(f"{len(names)} {what} ({listed(names)})" for names, what in parts if names)
        )
    for name, shape in shapes.items():
        stored = arrays[name]
        is_float = stored.dtype.kind == "f" and stored.dtype.itemsize in FLOATS
        if stored.shape != shape or not is_float:
            raise WeightsError(
                f"holds {listed([name])} as {stored.dtype} {stored.shape}; it should be floats of "
                f"shape {shape} (in the order height, width, in, out)"
            )


def _read(contents, name):
    """Return an array as float32; refuse numbers that no trained network has."""
    with np.errstate(over="ignore"):
        array = contents.arrays[name].read().astype(np.float32)
    _check_finite(contents, name, array)
    if name.endswith("/moving_variance") and (array < 0).any():
        own_name = contents.file_names.get(name, name)
        raise WeightsError(f"holds a negative variance in {own_name}")
    return array


def _check_finite(contents, name, array):
    if not np.isfinite(array).all():
        own_name = contents.file_names.get(name, name)
        raise WeightsError(f"holds values in {own_name} that are not finite")


def _gamma_name(name):
    """Return the gamma that scales an array when folded: that of a kernel's or mean's layer.

    gamma * (kernel x - mean) / deviation + beta is a normalisation without gamma of a kernel and
    a mean that are gamma times as large. Kernels scale along their last axis, the outputs.
    """
    layer, array = name.rsplit("/", 1)
    return {
        "kernel": f"{layer}_BatchNorm/gamma",
        "moving_mean": f"{layer}/gamma",
    }.get(array)
