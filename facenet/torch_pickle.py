"""A pickle interpreter that knows what a PyTorch `state_dict` needs, and executes nothing.

Python's own `pickle` calls what a file names. Here the opcodes are only listed, by `pickletools`,
and dicts, lists, tuples, numbers, strings and tensors are put together from them; a file that asks
for any other object is refused.
"""

import dataclasses
import pickletools

import numpy as np

from facenet.errors import WeightsError

LARGEST_PICKLE = 1 << 20  # bytes; the published files need about 0.15 MB


@dataclasses.dataclass(frozen=True)
class Global:
    """A name `module.object` in a pickle, not imported."""

    name: str


@dataclasses.dataclass(frozen=True)
class Storage:
    """Numbers that lie elsewhere in the file: their key, type and count."""

    key: str
    dtype: np.dtype
    count: int


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A view of a storage; offset and strides count numbers, not bytes."""

    storage: Storage
    offset: int
    shape: tuple
    strides: tuple


DTYPES = {
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.HalfStorage": np.dtype("<f2"),
    "torch.DoubleStorage": np.dtype("<f8"),
    "torch.LongStorage": np.dtype("<i8"),
}
REBUILD_TENSOR = "torch._utils._rebuild_tensor_v2"
REBUILD_PARAMETER = "torch._utils._rebuild_parameter"
ORDERED_DICT = "collections.OrderedDict"
ALLOWED = (*DTYPES, REBUILD_TENSOR, REBUILD_PARAMETER, ORDERED_DICT)
MARK = object()

# Opcodes whose argument is the value.
VALUES = {
    *("BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "BINFLOAT", "FLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "UNICODE", "BINSTRING", "SHORT_BINSTRING", "STRING"),
}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
NEW = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def read_pickle(stream):
    """Return the object of one pickle; the stream is left behind it.

    Args:
        stream: binary stream of at most `LARGEST_PICKLE` bytes.

    Returns:
        dict, list, tuple, number, string, `Tensor` or `Storage`.

    Raises:
        WeightsError: the pickle asks for an object that no weight file needs.
        Exception: of many kinds, for a damaged pickle.
    """
    stack, memo = [], {}
    for opcode, argument, _ in pickletools.genops(stream):
        name = opcode.name
        if name in VALUES:
            stack.append(argument)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in NEW:
            stack.append(NEW[name]())
        elif name in TUPLES:
            stack[-TUPLES[name] :] = [tuple(stack[-TUPLES[name] :])]
        elif name in ("PROTO", "FRAME"):
            pass
        elif name == "MARK":
            stack.append(MARK)
        elif name == "TUPLE":
            stack.append(tuple(_pop_to_mark(stack)))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in ("APPEND", "APPENDS"):
            items = [stack.pop()] if name == "APPEND" else _pop_to_mark(stack)
            list.extend(stack[-1], items)
        elif name in ("SETITEM", "SETITEMS"):
            items = _pop_to_mark(stack) if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            _set_items(stack[-1], items[::2], items[1::2])
        elif name == "GLOBAL":
            stack.append(_global(argument.replace(" ", ".", 1)))
        elif name == "STACK_GLOBAL":
            name_in_module = stack.pop()
            stack.append(_global(f"{stack.pop()}.{name_in_module}"))
        elif name == "BINPERSID":
            stack.append(_storage(stack.pop()))
        elif name == "REDUCE":
            arguments = stack.pop()
            stack.append(_reduce(stack.pop(), arguments))
        elif name == "BUILD":
            stack.pop()  # `_metadata` of a state_dict
            if not isinstance(stack[-1], dict):
                raise WeightsError("sets the attributes of an object, as no weight file needs")
        elif name == "STOP":
            (result,) = stack
            return result
        else:
            raise WeightsError(f"uses the pickle opcode {name}, which no weight file needs")
    raise WeightsError("holds a pickle without an end")


def _pop_to_mark(stack):
    items = []
    while (value := stack.pop()) is not MARK:
        items.append(value)
    return items[::-1]


def _set_items(target, keys, values):
    # Tuples that hold each other many times over would take forever to hash.
    if not all(isinstance(key, str | int) for key in keys):
        raise WeightsError("holds a dict with keys that no weight file needs")
    dict.update(target, zip(keys, values, strict=True))


def _global(name):
    if name not in ALLOWED:
        hint = ""
        if name.startswith(("facenet_pytorch.", "torch.nn.", "__main__.")):
            hint = ": a whole module; save its state_dict() instead"
        raise WeightsError(f"asks for {name[:80]!r} (nothing was run){hint}")
    return Global(name)


def _storage(identifier):
    kind, storage_type, key, _, count, *view = identifier
    if kind != "storage" or storage_type.name not in DTYPES or view not in ([], [None]):
        raise WeightsError("refers to numbers in an unknown way")
    if not (isinstance(key, str) and isinstance(count, int) and count >= 0):
        raise WeightsError("refers to numbers in an unknown way")
    return Storage(key, DTYPES[storage_type.name], count)


def _reduce(function, arguments):
    if function == Global(ORDERED_DICT) and arguments == ():
        return {}
    if function == Global(REBUILD_PARAMETER):
        return arguments[0]
    if function == Global(REBUILD_TENSOR):
        return _tensor(*arguments[:4])
    raise WeightsError("calls an object that is not a function")


def _tensor(storage, offset, shape, strides):
    counts = (offset, *shape, *strides)
    if not isinstance(storage, Storage) or not all(isinstance(n, int) and n >= 0 for n in counts):
        raise WeightsError("describes a tensor wrongly")
    return Tensor(storage, offset, tuple(shape), tuple(strides))
