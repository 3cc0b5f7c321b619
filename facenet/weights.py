"""Reading FaceNet weight files: arrays matched by name and shape, nothing in a file executed.

Understood: the embedded `.npz`, and the HDF5 layout of `facenet_keras.h5` (the full Keras 2 model
or its weights alone). The network is always built in code; `model_config`, with its bytecode of
Lambda layers that newer Pythons cannot read, is ignored.
"""

import zipfile
from pathlib import Path

import h5py
import numpy as np

from facenet.inception_resnet_v1 import build_inception_resnet_v1

STEM_FILTERS = 32  # of Conv2d_1a_3x3 at width 1.0
ADVICE = "set FACENET_WEIGHTS to the embedded file or to facenet_keras.h5"


class WeightsError(ValueError):
    """A weight file that is missing, damaged or not a FaceNet."""


def load_network(path):
    """Build the network that a weight file holds, recognised by its content, and load it.

    Args:
        path: a `.npz` of arrays `<layer>/<array>`, or a Keras 2 `.h5` (full model or weights).

    Returns:
        A `keras.Model`, see `build_inception_resnet_v1`.

    Raises:
        WeightsError: no such file; neither format; an array is missing, unknown, of another
            shape, not finite, or a negative variance.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"no FaceNet weight file at {path}: {ADVICE}")
    try:
        if h5py.is_hdf5(path):
            arrays = _read_keras_h5(path)
        elif zipfile.is_zipfile(path):
            arrays = _read_npz(path)
        else:
            raise WeightsError(f"{path} is neither .npz nor HDF5, or it is damaged: {ADVICE}")
    except WeightsError:
        raise
    except Exception as error:  # h5py and zipfile raise many kinds for damaged files
        raise WeightsError(f"{path} is damaged ({error}): {ADVICE}") from error
    network = _network_for(path, arrays)
    _assign(path, arrays, network)
    return network


def _read_npz(path):
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _read_keras_h5(path):
    """Return the arrays of a Keras 2 file under the names `<layer>/<array>`."""
    arrays = {}
    with h5py.File(path, "r") as file:
        root = file.get("model_weights", file)
        for layer in root.attrs["layer_names"]:
            layer = _text(layer)
            for stored in root[layer].attrs["weight_names"]:
                stored = _text(stored)
                # "Conv2d_1a_3x3/kernel:0"; a graph built twice leaves "kernel_1:0".
                array = stored.rsplit("/", 1)[-1].split(":")[0]
                name = f"{layer}/{array.removesuffix('_1')}"
                if name in arrays:
                    raise WeightsError(f"{path} holds {name} twice: {ADVICE}")
                arrays[name] = _dataset(root[layer], stored)[()]
    return arrays


def _dataset(group, name):
    """Return a plain dataset of an HDF5 group; refuse what would read other files."""
    *parents, _ = parts = name.split("/")
    for depth in range(len(parts)):
        link = group.get("/".join(parts[: depth + 1]), getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise WeightsError(f"{group.file.filename}: {name} is a link to elsewhere: {ADVICE}")
    dataset = group[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.is_virtual or dataset.external:
        raise WeightsError(f"{group.file.filename}: {name} is not a plain array: {ADVICE}")
    return dataset


def _text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def _network_for(path, arrays):
    """Build the network whose width and embedding size the arrays tell."""
    for name, rank in (("Conv2d_1a_3x3/kernel", 4), ("Bottleneck/kernel", 2)):
        if name not in arrays or arrays[name].ndim != rank:
            raise WeightsError(
                f"{path} holds no array {name} of rank {rank}, so it is no FaceNet: {ADVICE}"
            )
    width = arrays["Conv2d_1a_3x3/kernel"].shape[-1] / STEM_FILTERS
    embedding_size = arrays["Bottleneck/kernel"].shape[-1]
    if width not in (0.5, 1.0) or embedding_size != 128:
        raise WeightsError(
            f"{path}: expected width 0.5 or 1.0 and 128 outputs, received width {width:g} and "
            f"{embedding_size} outputs, whose input standardisation is unknown: {ADVICE}"
        )
    return build_inception_resnet_v1(width, embedding_size)


def _assign(path, arrays, network):
    """Give every variable of a network its array, each array used exactly once."""
    variables = {
        f"{layer.name}/{variable.name}": variable
        for layer in network.layers
        for variable in layer.weights
    }
    missing = sorted(variables.keys() - arrays.keys())
    unknown = sorted(arrays.keys() - variables.keys())
    if missing or unknown:
        raise WeightsError(
            f"{path} does not fit Inception-ResNet-v1: {len(missing)} arrays missing "
            f"({', '.join(missing[:3])}), {len(unknown)} unknown ({', '.join(unknown[:3])}): "
            f"{ADVICE}"
        )
    for name, variable in variables.items():
        variable.assign(_checked_array(path, name, arrays[name], tuple(variable.shape)))


def _checked_array(path, name, array, shape):
    if array.shape != shape or array.dtype.kind != "f":
        raise WeightsError(
            f"{path}: {name} should be floats of shape {shape}, is {array.dtype} "
            f"{array.shape}: {ADVICE}"
        )
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise WeightsError(f"{path}: {name} holds values that are not finite: {ADVICE}")
    if name.endswith("moving_variance") and (array < 0).any():
        raise WeightsError(f"{path}: {name} holds a negative variance: {ADVICE}")
    return array
