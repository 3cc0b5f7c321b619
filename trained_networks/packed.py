"""A trained U-Net in a tenth of its size: a `.npz` file of rounded kernels.

The entropy of a kernel falls with the step that its weights are rounded to, and what that costs
the pictures grows: one number, `STEP`, chooses between them. `pretrained/README.md` has the format.
"""

import json
import zlib

import keras
import numpy as np

from errors import Mistake
from files import whole
from model import KERNEL_SIZE, build_unet

FORMAT = "packed IPU-Net 1"
STEP = 0.6  # of a kernel of 2**23 weights, in root mean squares of its output channel
SMALL = 1 << 14  # weights; kernels of no more stay float32, which costs few bytes
SCALE = "/step"  # ends the name of the steps of a kernel


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
    with whole(path) as unfinished:
        np.savez(unfinished, **arrays)


def packed_weights(unet, step=STEP):
    """Return the weights of a U-Net as arrays.

    Args:
        unet: network of `model.build_unet`.
        step: see `STEP`.

    Returns:
        {name: array}: of a large kernel "LAYER/kernel", uint8, the zlib stream of int8 numbers,
        and "LAYER/kernel/step", float32, whose product it is; other weights as they are, float32.
    """
    arrays = {}
    for layer in unet.layers:
        for weight, value in zip(layer.weights, layer.get_weights(), strict=True):
            name = f"{layer.name}/{weight.name}"
            if _is_rounded(weight):
                window = _touching(layer)
                value, arrays[name + SCALE] = _rounded(layer, value[window, window], step)
                value = _deflated(value)
            arrays[name] = value
    return arrays


def _is_rounded(weight):
    return weight.name == "kernel" and np.prod(weight.shape) > SMALL


def _touching(layer):
    """Return the rows, or columns, of a layer's kernel that ever meet a pixel, as a slice.

    Between 2x2 pixels and one, the border of the window lies on the padding: three quarters of
    those two kernels are never used, and keep the noise that they began with.
    """
    side = max(layer.input.shape[1], layer.output.shape[1])
    outside = (KERNEL_SIZE - 2) // 2 if side == 2 else 0
    return slice(outside, KERNEL_SIZE - outside)


def _rounded(layer, kernel, step):
    """Return a kernel as int8 multiples of float32 steps, which broadcast to its shape."""
    # If every kernel does the same harm, rounded alike, the least harm for the bytes is where the
    # square of the step grows with the number of weights.
    step *= np.sqrt(kernel.size / (1 << 23))
    # (height, width, in, out), and of a transposed convolution (height, width, out, in).
    inputs = (0, 1, 3 if isinstance(layer, keras.layers.Conv2DTranspose) else 2)
    steps = step * np.sqrt(np.square(kernel).mean(inputs, keepdims=True))
    steps = np.maximum(steps, np.abs(kernel).max(inputs, keepdims=True) / 127.0)
    steps = np.where(steps == 0.0, 1.0, steps).astype(np.float32)  # 0: a channel of zeros
    return np.rint(kernel / steps).astype(np.int8), steps


def _deflated(rounded):
    """Return int8 numbers as a zlib stream, uint8 (N,)."""
    # By how often a number occurs alone. Weights do not repeat: to look for repetitions as well,
    # as `numpy.savez_compressed` does, makes files larger by a sixth.
    stream = zlib.compressobj(memLevel=9, strategy=zlib.Z_HUFFMAN_ONLY)
    return np.frombuffer(stream.compress(rounded.tobytes()) + stream.flush(), np.uint8)


def _inflated(stream, shape):
    """Return what `_deflated` was given; ValueError or `zlib.error` if it is of another shape."""
    count = int(np.prod(shape))
    numbers = zlib.decompressobj().decompress(stream.tobytes(), count + 1)  # no more memory
    return np.frombuffer(numbers, np.int8).reshape(shape)


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
    for layer in unet.layers:
        for weight in layer.weights:
            name = f"{layer.name}/{weight.name}"
            value = _weight(arrays, layer, weight, name)
            if value is None or value.shape != tuple(weight.shape):
                raise Mistake(
                    f"{path} is of another U-Net than model.py describes (see {name}): use the "
                    "model.py that it was made with"
                )
            if value.dtype != np.float32 or not np.isfinite(value).all():
                raise Mistake(f"{path} is damaged: {name} is not of finite float32; get it again")
            weight.assign(value)
    return unet


def _weight(arrays, layer, weight, name):
    """Return a weight by its name among the arrays of a file; None if it is not there."""
    try:
        if not _is_rounded(weight):
            return arrays[name]
        kernel, window = np.zeros(weight.shape, np.float32), _touching(layer)
        rounded = _inflated(arrays[name], kernel[window, window].shape)
        kernel[window, window] = rounded * arrays[name + SCALE]
        return kernel
    except (KeyError, ValueError, zlib.error):
        return None


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
        # Opened here, as NumPy leaves a damaged file open.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
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
