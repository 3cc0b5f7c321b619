"""Reading the HDF5 files of Keras 2 (models and weights) and Keras 3 (weights).

Only plain arrays are read. `model_config`, with its bytecode of Lambda layers that newer Pythons
cannot read, is never given to Keras: the network is built in code.
"""

import contextlib
import json
import math
import re

import h5py

from facenet import names
from facenet.contents import (
    DEEPFACE,
    KERAS_2_MODEL,
    KERAS_2_WEIGHTS,
    KERAS_3,
    KERAS_FACENET,
    Contents,
    StoredArray,
)
from facenet.errors import WeightsError

ARRAY = re.compile(r"(kernel|bias|gamma|beta|moving_mean|moving_variance)(?:_\d+)?(?::0)?")
LARGEST_LIST = 4096  # names in an attribute; the largest known one has 448
LARGEST_ATTRIBUTE = 1 << 24  # bytes; `model_config` of facenet_keras.h5 has about 225 kB
LARGEST_CHUNK = 1 << 26  # bytes
FILTERS = (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32)
KERAS_1 = re.compile(r"(convolution2d|batchnormalization)_\d+")
LOST_SKIP_NOTE = "its stored graph lacks the skip connections, which are in place here"


@contextlib.contextmanager
def open_keras_h5(path):
    """Open an HDF5 file of Keras and yield its `Contents`.

    Raises:
        WeightsError: not a file of Keras, or one that refers to other files.
    """
    with h5py.File(path, "r") as file:
        if "layer_names0" in file.attrs or "layer_names" in file.attrs:
            yield _keras_2_contents(file, KERAS_2_WEIGHTS)
        elif _has_group(file, "model_weights"):
            contents = _keras_2_contents(file["model_weights"], KERAS_2_MODEL)
            yield _noting_lost_skips(contents, file)
        elif _has_group(file, "layers"):
            yield _keras_3_contents(file)
        else:
            raise WeightsError("is HDF5, but not a file of Keras: it lists no layers")


# --- Keras 2: names stand in attributes ---


def _keras_2_contents(root, file_format):
    layers = _text_list(root, "layer_names")
    listed = {*layers, "top_level_model_weights"}
    if extra := sorted(set(root.keys()) - listed - {"optimizer_weights"}):
        raise WeightsError(f"holds {extra[0]}, which its list of layers does not name")
    arrays, file_names = {}, {}
    for layer in layers:
        if KERAS_1.fullmatch(layer):
            raise WeightsError(f"holds a layer {layer}: a Keras 1 model such as OpenFace's nn4")
        if not _has_group(root, layer):
            raise WeightsError(f"lists a layer {layer} and has no group for it")
        group = root[layer]
        for stored in _text_list(group, "weight_names"):
            # "Conv2d_1a_3x3/kernel:0"; a graph built twice leaves "kernel_1:0".
            match = ARRAY.fullmatch(stored.rsplit("/", 1)[-1])
            array = match[1] if match else stored
            name = f"{names.from_deepface(layer)}/{array}"
            if name in arrays:
                raise WeightsError(f"holds {name} twice")
            arrays[name] = _stored_array(group, stored)
            file_names[name] = f"{layer}/{array}"
    if "normalize" in layers:
        file_format = KERAS_FACENET
    elif any(names.from_deepface(layer) != layer for layer in layers):
        file_format = DEEPFACE
    return Contents(file_format, arrays, file_names)


def _text_list(group, name):
    """Return a list attribute of strings, also if Keras split it into `name0`, `name1`, ..."""
    parts = [name] if name in group.attrs else []
    while not parts or parts[-1] != name:
        if f"{name}{len(parts)}" not in group.attrs:
            break
        parts.append(f"{name}{len(parts)}")
    if not parts:
        raise WeightsError(f"has no attribute {name} at {group.name}")
    texts = []
    for part in parts:
        stored = group.attrs.get_id(part)
        is_list = len(stored.shape) == 1 and len(texts) + stored.shape[0] <= LARGEST_LIST
        if not is_list or stored.dtype.itemsize * stored.shape[0] > LARGEST_ATTRIBUTE:
            raise WeightsError(f"has an attribute {part} of shape {stored.shape} at {group.name}")
        texts += [_text(value) for value in group.attrs[part]]
    return texts


def _text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def _noting_lost_skips(contents, file):
    """Return contents with a note if the graph in `model_config` adds no block input anywhere.

    Early copies were saved from code that added each block's last convolution to itself, scaled.
    """
    if "model_config" not in file.attrs:
        return contents
    stored = file.attrs.get_id("model_config")
    if stored.shape != () or stored.dtype.itemsize > LARGEST_ATTRIBUTE:
        return contents
    try:
        config = json.loads(_text(file.attrs["model_config"]))
        inputs = [
            json.dumps(layer["inbound_nodes"])
            for layer in config["config"]["layers"]
            if layer["class_name"] == "Add"
        ]
    except (ValueError, TypeError, KeyError, RecursionError):
        return contents  # it is not needed
    if not any(re.search(r'"Block\d+_\d+_Conv2d_1x1"', nodes) for nodes in inputs):
        return contents
    return Contents(contents.format, contents.arrays, contents.file_names, (LOST_SKIP_NOTE,))


# --- Keras 3: layers are numbered per class, in the order of `model.layers` ---


def _keras_3_contents(file):
    _refuse_unknown(file, {"layers", "vars", "optimizer"})
    known = names.from_keras_3()
    arrays, file_names = {}, {}
    for automatic in file["layers"]:
        if not _has_group(file["layers"], automatic) or not _has_group(
            file["layers"][automatic], "vars"
        ):
            raise WeightsError(f"has no arrays of the layer {automatic}")
        _refuse_unknown(file["layers"][automatic], {"vars", "seed_generator"})
        group = file["layers"][automatic]["vars"]
        layer = known.get(automatic, automatic)
        own = names.from_deepface(_text(group.attrs["name"])) if "name" in group.attrs else layer
        if own != layer and own in known.values():
            raise WeightsError(f"holds the layer {own} at {automatic}, the place of {layer}")
        order = _keras_3_arrays(layer, len(group))
        for index in group:
            array = order.get(index, index)
            arrays[f"{layer}/{array}"] = _stored_array(group, index)
            file_names[f"{layer}/{array}"] = f"layers/{automatic}/vars/{index}"
    return Contents(KERAS_3, arrays, file_names)


def _keras_3_arrays(layer, count):
    """Return {index in the file: array} of a layer with `count` arrays."""
    arrays = ("kernel", "bias")
    if layer in names.BATCH_NORMS:
        arrays = ("gamma", "beta", "moving_mean", "moving_variance")
        arrays = arrays if count == 4 else arrays[1:]
    return {str(i): array for i, array in enumerate(arrays)}


def _refuse_unknown(group, known):
    if extra := sorted(set(group.keys()) - known):
        raise WeightsError(f"holds {group.name.rstrip('/')}/{extra[0]}, which a FaceNet lacks")


# --- Plain arrays only ---


def _has_group(parent, name):
    return name in parent and isinstance(_member(parent, name), h5py.Group)


def _member(parent, name):
    """Return a member of an HDF5 group at any depth; refuse what lies elsewhere."""
    parts = name.split("/")
    for depth in range(len(parts)):
        link = parent.get("/".join(parts[: depth + 1]), getlink=True)
        if link is None:
            raise WeightsError(f"lists {parent.name.rstrip('/')}/{name} and does not hold it")
        if not isinstance(link, h5py.HardLink):
            raise WeightsError(
                f"has a link to elsewhere instead of {parent.name.rstrip('/')}/{name}"
            )
    return parent[name]


def _stored_array(group, name):
    """Return a plain dataset as a `StoredArray`; refuse what would read other files or code."""
    where = f"{group.name.rstrip('/')}/{name}"
    dataset = _member(group, name)
    if not isinstance(dataset, h5py.Dataset) or dataset.is_virtual or dataset.external:
        raise WeightsError(f"holds {where}, which is not a plain array")
    return StoredArray(dataset.shape or (), dataset.dtype, lambda: _read(dataset, where))


def _read(dataset, where):
    """Return the numbers of a dataset whose shape and type were checked."""
    plan = dataset.id.get_create_plist()
    if any(plan.get_filter(i)[0] not in FILTERS for i in range(plan.get_nfilters())):
        raise WeightsError(f"compresses {where} in an unusual way")
    stored = dataset.nbytes
    if dataset.chunks:
        if math.prod(dataset.chunks) * dataset.dtype.itemsize > LARGEST_CHUNK:
            raise WeightsError(f"holds {where} in chunks of {dataset.chunks} numbers")
        sides = zip(dataset.shape, dataset.chunks, strict=True)
        is_whole = dataset.id.get_num_chunks() == math.prod(-(-n // chunk) for n, chunk in sides)
    else:
        is_whole = dataset.id.get_storage_size() == stored
    if not is_whole:
        raise WeightsError(f"declares {where} and does not hold all of its numbers")
    return dataset[()]
