"""Reading PyTorch `state_dict` files, zip and legacy, without PyTorch."""

import contextlib
import io
import mmap
import struct

import numpy as np

from facenet import names
from facenet.contents import TORCH_LEGACY, TORCH_ZIP, Contents, StoredArray
from facenet.errors import WeightsError
from facenet.torch_pickle import LARGEST_PICKLE, Tensor, read_pickle
from facenet.zip_files import read_member

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
LARGEST_STORAGE = 1 << 26  # bytes; the network's largest array has 3.5 MB
WRAPPERS = ("state_dict", "model_state_dict", "model")
IGNORED = ("logits.weight", "logits.bias")  # the classifier on top of the embedding


def read_torch_zip(archive):
    """Return the `Contents` of an open zip file that `torch.save` wrote (PyTorch 1.6 on)."""
    members = set(archive.namelist())
    pickle_name, *others = (name for name in members if name.endswith("/data.pkl"))
    if others:
        raise WeightsError("holds two pickles")
    folder = pickle_name.removesuffix("/data.pkl")
    if f"{folder}/constants.pkl" in members:
        raise WeightsError("is a TorchScript archive; save the module's state_dict() instead")
    if f"{folder}/byteorder" in members:
        name = f"{folder}/byteorder"
        order = read_member(archive, name, min(archive.getinfo(name).file_size, 16))
        if order != b"little":
            raise WeightsError("was written on a big-endian machine")
    size = archive.getinfo(pickle_name).file_size
    if size > LARGEST_PICKLE:
        raise WeightsError(f"holds a pickle of {size} bytes, far more than a FaceNet needs")
    state = read_pickle(io.BytesIO(read_member(archive, pickle_name, size)))

    def read_storage(storage):
        size = storage.count * storage.dtype.itemsize
        return read_member(archive, f"{folder}/data/{storage.key}", size)

    return _contents(state, TORCH_ZIP, read_storage)


@contextlib.contextmanager
def open_torch_legacy(path):
    """Open a file that `torch.save` wrote before PyTorch 1.6 and yield its `Contents`.

    Five pickles (magic number, protocol, system, state_dict, keys of the storages) are followed
    by the storages in the order of the keys, each a count and its numbers.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        stream = io.BytesIO(data[:LARGEST_PICKLE])
        if read_pickle(stream) != LEGACY_MAGIC or read_pickle(stream) != LEGACY_PROTOCOL:
            raise WeightsError("is a pickle, but not one that PyTorch wrote")
        if not read_pickle(stream)["little_endian"]:
            raise WeightsError("was written on a big-endian machine")
        state = read_pickle(stream)
        keys = read_pickle(stream)
        starts = _legacy_starts(data, stream.tell(), keys, _storages(state))

        def read_storage(storage):
            start = starts[storage.key]
            return data[start : start + storage.count * storage.dtype.itemsize]

        yield _contents(state, TORCH_LEGACY, read_storage)


def _legacy_starts(data, position, keys, storages):
    """Return {key: where its numbers start}, after checking that all of them are there."""
    if not all(isinstance(key, str) for key in keys) or sorted(keys) != sorted(storages):
        raise WeightsError("lists other numbers than its tensors use")
    starts = {}
    for key in keys:
        storage = storages[key]
        (count,) = struct.unpack_from("<q", data, position)
        if count != storage.count:
            raise WeightsError(f"holds {count} numbers where {storage.count} are declared")
        starts[key] = position + 8
        position += 8 + count * storage.dtype.itemsize
    if position != len(data):
        raise WeightsError(f"is {len(data)} bytes long and should have {position}")
    return starts


def _storages(state):
    """Return {key: `Storage`} of all tensors, at any depth of a state."""
    storages, waiting, seen = {}, [state], set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, Tensor):
            storage = storages.setdefault(value.storage.key, value.storage)
            if storage != value.storage:
                raise WeightsError("declares the same numbers in two ways")
    return storages


def _contents(state, file_format, read_storage):
    """Translate a state_dict into the network's names and axes."""
    if not isinstance(state, dict):
        raise WeightsError("holds no state_dict")
    wrapped = [state[key] for key in WRAPPERS if isinstance(state.get(key), dict)]
    state = wrapped[0] if wrapped else state
    if state and all(isinstance(key, str) and key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    known = names.from_torch()
    file_names = {name: stored for stored, (name, _) in known.items()}
    counters = {key.replace("running_var", "num_batches_tracked") for key in known}
    arrays = {}
    for key, value in state.items():
        if key in IGNORED or (key in counters and key not in known):
            continue
        if not isinstance(value, Tensor):
            raise WeightsError(f"holds {str(key)[:80]!r}, which is not a tensor")
        name, axes = known.get(key, (key, None))
        array = _stored_array(key, value, read_storage)
        arrays[name] = array.transpose(axes) if axes else array
    return Contents(file_format, arrays, file_names)


def _stored_array(key, tensor, read_storage):
    storage = tensor.storage
    itemsize = storage.dtype.itemsize
    steps = zip(tensor.shape, tensor.strides, strict=True)
    if tensor.offset + sum((n - 1) * stride for n, stride in steps) >= storage.count:
        raise WeightsError(f"describes {key} as reaching beyond its numbers")

    def read():
        if storage.count * itemsize > LARGEST_STORAGE:
            raise WeightsError(f"declares {storage.count} numbers for {key}")
        return np.ndarray(
            tensor.shape,
            storage.dtype,
            buffer=read_storage(storage),
            offset=tensor.offset * itemsize,
            strides=[stride * itemsize for stride in tensor.strides],
        )

    return StoredArray(tensor.shape, storage.dtype, read)
