"""The IPU-Net generator: a U-Net that turns an enlarged low-resolution face into a sharp one.

It needs Keras alone, so it runs on every Keras backend.
"""

import itertools

import keras
import numpy as np
from keras import layers

# One row per downsampling step: filters, batch norm.     Output for a 128x128 face.
ENCODER = (
    (64, False),  # (B, 64, 64, 64)
    (128, True),  # (B, 32, 32, 128)
    (256, True),  # (B, 16, 16, 256)
    (512, True),  # (B, 8, 8, 512)
    (512, True),  # (B, 4, 4, 512)
    (512, True),  # (B, 2, 2, 512)
    (512, True),  # (B, 1, 1, 512)
)
# One row per upsampling step that ends in a skip connection: filters, dropout rate.
# A 7th transposed convolution without skip, to (B, 128, 128, 3), follows them.
DECODER = (
    (512, 0.5),  # (B, 2, 2, 512), with its skip 1024
    (512, 0.5),  # (B, 4, 4, 512), with its skip 1024
    (512, 0.5),  # (B, 8, 8, 512), with its skip 1024
    (512, 0.0),  # (B, 16, 16, 512), with its skip 768
    (256, 0.0),  # (B, 32, 32, 256), with its skip 384
    (128, 0.0),  # (B, 64, 64, 128), with its skip 192
)
KERNEL_SIZE = 4
LEAKY_SLOPE = 0.3  # the original relies on this default of Keras; pix2pix itself has 0.2
BATCH_NORM = {"momentum": 0.99, "epsilon": 1e-3}  # Keras' defaults, as in the original
LAYOUT = "channels_last"  # whatever the user's configuration of Keras says
INITIAL_STDDEV = 0.02
LEAST_FILTERS = 24  # of the first step to start from the input: 2x2 pixels of 3 colours, twice
GAIN_BEFORE_TANH = 1.2  # tanh(1.2 x) is closest to x, on average over [-1, 1]
DOWNSAMPLING = 2 ** len(ENCODER)


def build_unet(image_size=128, seed=None):
    """Build the U-Net of IPU-Net: 7 down- and 7 upsampling steps, 48,659,459 parameters.

    Seven stride-2 convolutions reduce the face to a vector, six stride-2 transposed convolutions
    with skip connections and a seventh without one bring it back. Source: README of the original
    repository; widths, kernels, initialisation and dropout from its code.

    Args:
        image_size: height and width of the square faces in pixels, a multiple of 128.
        seed: integer that fixes the initial weights and the dropout masks; None draws them anew.

    Returns:
        A `keras.Model` from bicubically enlarged faces to super-resolved faces, both float32
        RGB in [-1, 1] of shape (B, image_size, image_size, 3). Call it with `training=False`
        for inference: dropout is then off and batch norm uses its moving statistics.

    Raises:
        ValueError: `image_size` is not a positive multiple of 128.
    """
    if image_size < DOWNSAMPLING or image_size % DOWNSAMPLING:
        raise ValueError(
            f"image_size must be a positive multiple of {DOWNSAMPLING}, received {image_size}"
        )
    seeds = itertools.repeat(None) if seed is None else itertools.count(seed)

    inputs = keras.Input((image_size, image_size, 3), name="lr_faces", dtype="float32")
    x = inputs
    skips = []
    for step, (filters, batch_norm) in enumerate(ENCODER, start=1):
        x = _down(x, filters, batch_norm, seeds, name=f"down_{step}")
        skips.append(x)
    for step, ((filters, dropout), skip) in enumerate(
        zip(DECODER, reversed(skips[:-1]), strict=True), start=1
    ):
        x = _up(x, filters, dropout, seeds, name=f"up_{step}")
        x = layers.Concatenate(name=f"skip_{step}")([x, skip])
    x = layers.Conv2DTranspose(
        3,
        KERNEL_SIZE,
        2,
        "same",
        data_format=LAYOUT,
        kernel_initializer=_initializer(seeds),
        name="up_7_conv",
    )(x)
    # float32 under mixed precision too: 16 bits would cost the picture visible steps.
    outputs = layers.Activation("tanh", dtype="float32", name="sr_faces")(x)
    return keras.Model(inputs, outputs, name="ipu_net")


def start_from_input(unet):
    """Set the outermost weights so that the untrained U-Net returns nearly the face it is given.

    The first convolution then hands the pixels, as they are and negated, through the outermost
    skip to the last one, which puts them together again; all that comes from deeper starts at
    zero. Training so begins at bicubic enlargement and only has to learn what that lacks. Source:
    ours; the network stays the same, only its initial weights differ.

    Args:
        unet: network of `build_unet`; changed in place.

    Raises:
        ValueError: `ENCODER` was edited and begins with fewer than `LEAST_FILTERS`.
    """
    first, last = unet.get_layer("down_1_conv"), unet.get_layer("up_7_conv")
    read = np.array(first.get_weights()[0])
    write = np.zeros(last.kernel.shape, "float32")
    skip = write[..., -read.shape[-1] :]
    if read.shape[-1] < LEAST_FILTERS:
        raise ValueError(
            f"ENCODER must begin with {LEAST_FILTERS} filters or more, not {read.shape[-1]}"
        )
    # A stride-2 window of 4x4 pixels has its own 2x2 in the middle.
    pixels = itertools.product((1, 2), (1, 2), range(3), (1.0, -1.0))
    for i, (row, column, color, sign) in enumerate(pixels):
        read[..., i] = 0.0
        read[row, column, color, i] = sign
        # leaky(x) - leaky(-x) = (1 + slope) * x
        skip[row, column, color, i] = sign * GAIN_BEFORE_TANH / (1.0 + LEAKY_SLOPE)
    first.set_weights([read])
    last.set_weights([write, *last.get_weights()[1:]])


def _down(x, filters, batch_norm, seeds, name):
    """Halve height and width: convolution, batch norm, leaky ReLU."""
    x = layers.Conv2D(
        filters,
        KERNEL_SIZE,
        2,
        "same",
        data_format=LAYOUT,
        use_bias=False,
        kernel_initializer=_initializer(seeds),
        name=f"{name}_conv",
    )(x)
    if batch_norm:
        x = layers.BatchNormalization(**BATCH_NORM, name=f"{name}_norm")(x)
    return layers.LeakyReLU(LEAKY_SLOPE, name=f"{name}_relu")(x)


def _up(x, filters, dropout, seeds, name):
    """Double height and width: transposed convolution, batch norm, dropout, ReLU."""
    x = layers.Conv2DTranspose(
        filters,
        KERNEL_SIZE,
        2,
        "same",
        data_format=LAYOUT,
        use_bias=False,
        kernel_initializer=_initializer(seeds),
        name=f"{name}_conv",
    )(x)
    x = layers.BatchNormalization(**BATCH_NORM, name=f"{name}_norm")(x)
    if dropout:
        x = layers.Dropout(dropout, seed=next(seeds), name=f"{name}_dropout")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _initializer(seeds):
    return keras.initializers.RandomNormal(stddev=INITIAL_STDDEV, seed=next(seeds))
