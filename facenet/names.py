"""How each project calls the layers of Inception-ResNet-v1.

The names of this repository are those of `facenet_keras.h5`. The tables below list the layers with
kernels in the order of Keras' `model.layers`, in which Keras 3 numbers them.
"""

import re

STEM = (
    "Conv2d_1a_3x3",
    "Conv2d_2a_3x3",
    "Conv2d_2b_3x3",
    "Conv2d_3b_1x1",
    "Conv2d_4a_3x3",
    "Conv2d_4b_3x3",
)
BLOCK35 = (
    "Branch_2_Conv2d_0a_1x1",
    "Branch_1_Conv2d_0a_1x1",
    "Branch_2_Conv2d_0b_3x3",
    "Branch_0_Conv2d_1x1",
    "Branch_1_Conv2d_0b_3x3",
    "Branch_2_Conv2d_0c_3x3",
    "Conv2d_1x1",
)
MIXED_6A = (
    "Branch_1_Conv2d_0a_1x1",
    "Branch_1_Conv2d_0b_3x3",
    "Branch_0_Conv2d_1a_3x3",
    "Branch_1_Conv2d_1a_3x3",
)
BLOCK17 = (
    "Branch_1_Conv2d_0a_1x1",
    "Branch_1_Conv2d_0b_1x7",
    "Branch_0_Conv2d_1x1",
    "Branch_1_Conv2d_0c_7x1",
    "Conv2d_1x1",
)
MIXED_7A = (
    "Branch_2_Conv2d_0a_1x1",
    "Branch_0_Conv2d_0a_1x1",
    "Branch_1_Conv2d_0a_1x1",
    "Branch_2_Conv2d_0b_3x3",
    "Branch_0_Conv2d_1a_3x3",
    "Branch_1_Conv2d_1a_3x3",
    "Branch_2_Conv2d_1a_3x3",
)
BLOCK8 = (
    "Branch_1_Conv2d_0a_1x1",
    "Branch_1_Conv2d_0b_1x3",
    "Branch_0_Conv2d_1x1",
    "Branch_1_Conv2d_0c_3x1",
    "Conv2d_1x1",
)
BLOCKS = (
    *((f"Block35_{i}", BLOCK35) for i in range(1, 6)),
    ("Mixed_6a", MIXED_6A),
    *((f"Block17_{i}", BLOCK17) for i in range(1, 11)),
    ("Mixed_7a", MIXED_7A),
    *((f"Block8_{i}", BLOCK8) for i in range(1, 7)),
)
CONVOLUTIONS = (*STEM, *(f"{block}_{layer}" for block, layers in BLOCKS for layer in layers))
UP_CONVOLUTIONS = tuple(f"{block}_Conv2d_1x1" for block, _ in BLOCKS if block[0] == "B")
BATCH_NORMS = tuple(
    f"{layer}_BatchNorm" for layer in (*CONVOLUTIONS, "Bottleneck") if layer not in UP_CONVOLUTIONS
)

# PyTorch stores kernels as (out, in, height, width) and (out, in).
CONV_AXES = (2, 3, 1, 0)
DENSE_AXES = (1, 0)


def from_deepface(layer):
    """Return the name of a layer that deepface calls `Block17_<i>_Branch_<i>_...`, else itself.

    deepface numbers branch 1 of blocks 2 and up after the block.
    """
    return re.sub(r"^(Block(?:17|8)_([2-9]|10)_Branch)_\2_", r"\1_1_", layer)


def from_keras_3():
    """Return {automatic name in a Keras 3 weight file: layer}, for every layer with weights."""
    classes = {
        "conv2d": CONVOLUTIONS,
        "batch_normalization": BATCH_NORMS,
        "dense": ("Bottleneck",),
    }
    return {
        f"{name}_{i}" if i else name: layer
        for name, layers in classes.items()
        for i, layer in enumerate(layers)
    }


def from_torch():
    """Return {name in facenet-pytorch's state_dict: (name of the array, axes to permute or None)}.

    Only arrays of the network: not the classifier `logits`, not `num_batches_tracked`.
    """
    arrays = {}
    for layer in CONVOLUTIONS:
        prefix = _torch_prefix(layer)
        if layer in UP_CONVOLUTIONS:
            arrays[f"{prefix}.weight"] = (f"{layer}/kernel", CONV_AXES)
            arrays[f"{prefix}.bias"] = (f"{layer}/bias", None)
        else:
            arrays[f"{prefix}.conv.weight"] = (f"{layer}/kernel", CONV_AXES)
            arrays |= _torch_batch_norm(f"{prefix}.bn", layer)
    arrays["last_linear.weight"] = ("Bottleneck/kernel", DENSE_AXES)
    return arrays | _torch_batch_norm("last_bn", "Bottleneck")


def _torch_batch_norm(prefix, layer):
    arrays = {
        "weight": "gamma",
        "bias": "beta",
        "running_mean": "moving_mean",
        "running_var": "moving_variance",
    }
    return {f"{prefix}.{key}": (f"{layer}_BatchNorm/{arrays[key]}", None) for key in arrays}


def _torch_prefix(layer):
    """Return what facenet-pytorch calls a convolution, without `.conv`, `.bn` or `.weight`."""
    if layer in STEM:
        return layer.lower().rsplit("_", 1)[0]  # Conv2d_1a_3x3: conv2d_1a
    kind, number, place = re.fullmatch(r"(Block\d+|Mixed)_(\w+?)_(\w+)", layer).groups()
    repeat = {"Block35": "repeat_1", "Block17": "repeat_2", "Block8": "repeat_3"}.get(kind)
    if kind == "Mixed":
        block = f"mixed_{number}"
    else:
        block = "block8" if (kind, number) == ("Block8", "6") else f"{repeat}.{int(number) - 1}"
    if layer in UP_CONVOLUTIONS:
        return f"{block}.conv2d"
    branch = place[len("Branch_")]
    layers = dict(BLOCKS)[f"{kind}_{number}"]
    in_branch = sorted(name for name in layers if name.startswith(f"Branch_{branch}_"))
    index = f".{in_branch.index(place)}" if len(in_branch) > 1 else ""
    return f"{block}.branch{branch}{index}"
