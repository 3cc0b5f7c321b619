"""Weight files of every format, written from the same seeded random arrays, without PyTorch."""

import functools
import io
import json
import pickle
import struct
import zipfile

import h5py
import numpy as np

from facenet import fitting, names
from facenet.inception_resnet_v1 import build_inception_resnet_v1

WIDTH = 0.5  # of the networks in these files: a quarter of the time and space
MAGIC = 0x1950A86A20F9469CFC6C


@functools.cache
def build_network(width=WIDTH, embedding_size=128):
    """One network per size, shared by tests that set all of its weights."""
    return build_inception_resnet_v1(width, embedding_size)


def share_networks(monkeypatch):
    """Let FaceNet use these networks; whatever a test before left in them is made useless."""

    def build(width, embedding_size):
        network = build_network(width, embedding_size)
        network.set_weights([np.full(v.shape, np.nan, np.float32) for v in network.weights])
        return network

    monkeypatch.setattr(fitting, "build_inception_resnet_v1", build)


@functools.cache
def random_arrays(embedding_size=128, width=WIDTH, with_gammas=False):
    """Plausible weights under the names `<layer>/<array>`; do not change the arrays."""
    rng = np.random.default_rng(embedding_size)
    arrays = {}
    for layer in build_network(width, embedding_size).layers:
        for variable in layer.weights:
            scale = 1.0 / np.sqrt(np.prod(variable.shape[:-1]))
            value = rng.normal(0.0, scale, variable.shape)
            if variable.name == "moving_variance":
                value = rng.uniform(0.5, 2.0, variable.shape)
            arrays[f"{layer.name}/{variable.name}"] = value.astype(np.float32)
    if with_gammas:
        for layer in names.BATCH_NORMS:
            gamma = rng.normal(1.0, 0.5, arrays[f"{layer}/beta"].shape).astype(np.float32)
            gamma[:2] = 0.0, -1.0
            arrays[f"{layer}/gamma"] = gamma
    return arrays


def write_npz(path, arrays):
    np.savez(path, **arrays)


# --- Keras 2 ---


def deepface_name(layer):
    """`Block17_3_Branch_1_...` as deepface calls it, `Block17_3_Branch_3_...`."""
    block, _, rest = layer.partition("_Branch_1_")
    kind, _, number = block.partition("_")
    is_renamed = rest and (kind == "Block17" or (kind == "Block8" and number != "6"))
    return f"{block}_Branch_{number}_{rest}" if is_renamed else layer


def model_config(has_skips):
    """What Keras 2 stores of the graph around the first block's addition."""
    first = "Conv2d_4b_3x3_Activation" if has_skips else "Block35_1_Conv2d_1x1"
    add = {
        "class_name": "Add",
        "name": "add_1",
        "inbound_nodes": [[["lambda_1", 0, 0, {}], [first, 0, 0, {}]]],
    }
    scaling = {
        "class_name": "Lambda",
        "name": "lambda_1",
        "config": {"function": ["4wIAAAA=\n", None, None], "arguments": {"scale": 0.17}},
        "inbound_nodes": [[["Block35_1_Conv2d_1x1", 0, 0, {}]]],
    }
    return json.dumps({"class_name": "Model", "config": {"layers": [scaling, add]}})


def write_keras_2(
    path, arrays, model=True, as_bytes=True, rename=str, ends_normalized=False, has_skips=True
):
    """Write arrays as Keras 2 did: layer groups, `layer_names` and `weight_names`."""

    def text(values):
        if as_bytes:
            return np.array([value.encode() for value in values])
        return np.array(values, dtype=h5py.string_dtype())

    layers = {}
    for name in arrays:
        layer, array = name.rsplit("/", 1)
        layers.setdefault(rename(layer), {})[array] = arrays[name]
    weightless = ["input_1", "Dropout"] + ["normalize"] * ends_normalized
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if model else file
        if model:
            file.attrs["keras_version"] = "2.1.2"
            file.attrs["model_config"] = model_config(has_skips)
        root.attrs["layer_names"] = text([*weightless, *layers])
        for layer in weightless:
            root.create_group(layer).attrs["weight_names"] = np.zeros(0)
        order = ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")
        for layer, held in layers.items():
            group = root.create_group(layer)
            stored = sorted(held, key=lambda array: order.index(array) if array in order else 9)
            group.attrs["weight_names"] = text([f"{layer}/{array}:0" for array in stored])
            for array in stored:
                group[f"{layer}/{array}:0"] = held[array]


# --- Keras 3 ---


def write_keras_3(path, arrays):
    """Write arrays with Keras' own `save_weights`."""
    network = build_network(WIDTH, arrays["Bottleneck/kernel"].shape[-1])
    for layer in network.layers:
        layer.set_weights([arrays[f"{layer.name}/{v.name}"] for v in layer.weights])
    network.save_weights(path)


# --- PyTorch ---


def torch_state(arrays, with_rest=True):
    """Return {name in facenet-pytorch: array with PyTorch's axes}, strided as published.

    Convolutions keep the memory layout of TensorFlow, from which they were converted.
    """
    state = {}
    for key, (name, _) in names.from_torch().items():
        array = arrays[name] if name in arrays else np.ones_like(arrays[f"{name[:-6]}/beta"])
        state[key] = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
        if with_rest and key.endswith("running_var"):
            state[key.replace("running_var", "num_batches_tracked")] = np.array(7)
    if with_rest:
        state["logits.weight"] = np.ones((30, 512), np.float32)
        state["logits.bias"] = np.ones(30, np.float32)
    return state


def _global(module, name):
    return b"c%s\n%s\n" % (module.encode(), name.encode())


def _text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def _tuple(*items):
    return b"(" + b"".join(items) + b"t"


def _integers(values):
    return _tuple(*(b"J" + struct.pack("<i", value) for value in values))


ORDERED_DICT = _global("collections", "OrderedDict") + b")R"


def memory_of(array):
    """Return the bytes of a dense array in memory order, whatever the order of its axes."""
    order = np.argsort(array.strides, kind="stable")[::-1]
    return array.transpose(order).tobytes()


def state_pickle(state, is_legacy):
    """Return the opcodes that `torch.save` writes for a state_dict, assembled by hand."""
    kinds = {"f4": "FloatStorage", "f2": "HalfStorage", "f8": "DoubleStorage", "i8": "LongStorage"}
    parts = [b"\x80\x02", ORDERED_DICT, b"("]
    for index, (key, array) in enumerate(state.items()):
        storage = _tuple(
            _text("storage"),
            _global("torch", kinds[array.dtype.str[1:]]),
            _text(str(index)),
            _text("cpu"),
            b"J" + struct.pack("<i", array.size),
            *([b"N"] if is_legacy else []),
        )
        strides = [stride // array.itemsize for stride in array.strides]
        arguments = [storage + b"Q", b"K\x00", _integers(array.shape), _integers(strides), b"\x89"]
        rebuild = _global("torch._utils", "_rebuild_tensor_v2")
        parts += [_text(key), rebuild, _tuple(*arguments, ORDERED_DICT), b"R"]
    return b"".join([*parts, b"u}", _text("_metadata"), ORDERED_DICT, b"sb."])


def legacy_header():
    values = (MAGIC, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}})
    return b"".join(pickle.dumps(value, protocol=2) for value in values)


def write_torch_legacy(path, state):
    with open(path, "wb") as file:
        file.write(legacy_header() + state_pickle(state, is_legacy=True))
        file.write(pickle.dumps([str(index) for index in range(len(state))], protocol=2))
        for array in state.values():
            file.write(struct.pack("<q", array.size) + memory_of(array))


def write_torch_zip(path, state, pickled=None):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled or state_pickle(state, is_legacy=False))
        archive.writestr("archive/byteorder", "little")
        for index, array in enumerate(state.values()):
            archive.writestr(f"archive/data/{index}", memory_of(array))
        archive.writestr("archive/version", "3\n")


def npy_bytes(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()
