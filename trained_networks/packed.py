"""A trained U-Net in a tenth of its size: a `.npz` file of 8-bit kernels that NumPy reads.

The entropy of a kernel falls with the step that its weights are rounded to, and the loss of the
picture grows: one number, `STEP`, chooses between them. `pretrained/README.md` has what it costs.
"""

import json
import zipfile

import keras
import numpy as np

from errors import Mistake
from files import whole
from model import KERNEL_SIZE, build_unet

FORMAT = "packed IPU-Net 1"
STEP = 0.6  # of weights, in root mean squares of the output channel that they lead to
SMALL = 1 << 18  # weights; a kernel of no more is rounded to finer steps, which costs few bytes
FINER = 4  # times, then
SCALE = "/step"  # ends the name of the steps of a kernel
COMPRESSION = zipfile.ZIP_DEFLATED
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)  # in the archive: the same network, the same file


# --- Writing -----------------------------------------------------------------------------------


def write_packed(path, unet, people=None, step=STEP):
    """Write a U-Net as a packed file.

    Args:
        path: `Path` of the `.npz` file.
        unet: network of `model.build_unet`.
        people: JSON-serialisable, whom it was trained on; None if unknown.
        step: see `STEP`.
    """
    arrays = {
        "format": np.array(FORMAT),
        "image_size": np.array(unet.input_shape[1]),
        "people": np.frombuffer(json.dumps(people).encode(), np.uint8),
        **packed_weights(unet, step),
    }
    with (
        whole(path) as unfinished,
        zipfile.ZipFile(unfinished, "w", COMPRESSION, compresslevel=9) as archive,
    ):
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", _FIXED_TIME)
            member.compress_type = COMPRESSION
            with archive.open(member, "w") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def packed_weights(unet, step=STEP):
    """Return the weights of a U-Net as arrays.

    Args:
        unet: network of `model.build_unet`.
        step: see `STEP`.

    Returns:
        {name: array}: of a kernel "LAYER/kernel", int8, and "LAYER/kernel/step", float32, whose
        product it is; all other weights as they are, float32.
    """
    arrays = {}
    for layer, name, weight in _named_weights(unet):
        value = np.array(weight, np.float32)
        if weight.name == "kernel":
            finer = FINER if value.size <= SMALL else 1
            value, arrays[name + SCALE] = _rounded(layer, value, step / finer)
        arrays[name] = value
    return arrays


def _named_weights(unet):
    for layer in unet.layers:
        for weight in layer.weights:
            yield layer, f"{layer.name}/{weight.name}", weight


def _rounded(layer, kernel, step):
    """Return a kernel as int8 multiples of float32 steps, which broadcast to its shape."""
    height, width, *_ = kernel.shape
    used = np.zeros((height, width, 1, 1), np.float32)
    used[_touching(layer), _touching(layer)] = 1.0
    kernel = kernel * used
    # (height, width, in, out), and of a transposed convolution (height, width, out, in).
    inputs = (0, 1, 3 if isinstance(layer, keras.layers.Conv2DTranspose) else 2)
    mean = np.square(kernel).mean(inputs, keepdims=True) / used.mean()
    steps = (step * np.sqrt(mean)).astype(np.float32)
    steps[steps == 0.0] = 1.0  # the channel is all zeros
    return np.clip(np.rint(kernel / steps), -127, 127).astype(np.int8), steps


def _touching(layer):
    """Return the rows, or columns, of a layer's kernel that ever meet a pixel, as a slice.

    Between 2x2 pixels and one, the border of the window lies on the padding: three quarters of
    those two kernels are never used, and keep the noise that they began with.
    """
    side = max(layer.input.shape[1], layer.output.shape[1])
    outside = (KERNEL_SIZE - 2) // 2 if side == 2 else 0
    return slice(outside, KERNEL_SIZE - outside)


# --- Reading -----------------------------------------------------------------------------------


def read_packed(path):
    """Load a packed network in float32.

    Args:
        path: `Path` of the `.npz` file.

    Returns:
        Network of `model.build_unet`.

    Raises:
        Mistake: the file is damaged, or something else, or of another U-Net than `model.py` has.
    """
    arrays = _read_arrays(path)
    try:
        unet = build_float32_unet(int(arrays["image_size"]))
    except (TypeError, ValueError) as error:
        raise Mistake(f"{path} is damaged: {error}; get it again") from error
    for _, name, weight in _named_weights(unet):
        value, steps = arrays.get(name), arrays.get(name + SCALE, np.float32(1.0))
        if value is None or value.shape != tuple(weight.shape):
            raise Mistake(
                f"{path} is of another U-Net than model.py describes (see {name}): use the "
                "model.py that it was made with"
            )
        value = value * steps
        if value.dtype != np.float32 or not np.isfinite(value).all():
            raise Mistake(f"{path} is damaged: {name} is not of finite float32; get it again")
        weight.assign(value)
    return unet


def read_packed_people(path):
    """Return what `write_packed` was told of people.

    Raises:
        Mistake: see `read_packed`.
        ValueError: what the file holds of them is damaged.
    """
    return json.loads(_read_arrays(path, ["people"])["people"].tobytes())


def _read_arrays(path, names=None):
    """Return {name: array} of a packed network, all or some; every checksum is compared."""
    try:
        with np.load(path, allow_pickle=False) as file:
            is_packed = "format" in file and str(file["format"]) == FORMAT
            arrays = {name: file[name] for name in names or file.files} if is_packed else {}
    except Exception as error:  # NumPy and zipfile raise many kinds for damaged files
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise Mistake(f"{path} is not a whole .npz file ({reason}): get it again") from error
    if not is_packed:
        raise Mistake(
            f"{path} is no packed network: name a .keras file of a training, or what "
            "`python -m trained_networks` wrote"
        )
    return arrays


def build_float32_unet(image_size):
    """Return `model.build_unet` in float32, whatever the training around it computes in."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        return build_unet(image_size)
    finally:
        keras.config.set_dtype_policy(policy)
