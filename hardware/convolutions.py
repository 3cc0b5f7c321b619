"""Faster stride-2 convolutions on CPUs: same numbers, other order of work.

TensorFlow's CPU kernels are slow where maps are small and channels many, as in this U-Net: for the
gradient of a filter at every size, for convolutions both ways at the smallest. The same sums are
matrix products.
"""

import keras
import tensorflow as tf
from keras import layers


def with_fast_convolutions(network):
    """Copy a network so that its convolutions and their gradients are computed faster on CPUs.

    Args:
        network: `keras.Model` of inputs of known height; of its layers, stride-2 4x4 convolutions
            and transposed convolutions with "same" padding, without bias and activation, are
            replaced.

    Returns:
        `keras.Model` with the same weights, in the same order, and the same outputs.
    """

    def copy(layer):
        config = layer.get_config()
        is_known = all(config.get(name) == value for name, value in FITTING.items())
        kind = FAST.get(type(layer)) if is_known else None
        return (kind or type(layer)).from_config(config)

    fast = keras.models.clone_model(network, clone_function=copy)
    fast.set_weights(network.get_weights())
    return fast


class _Conv2D(layers.Conv2D):
    def convolution_op(self, inputs, kernel):
        return _reduce(inputs, tf.cast(kernel, inputs.dtype))


class _Conv2DTranspose(layers.Conv2DTranspose):
    def call(self, inputs):
        return _enlarge(inputs, tf.cast(self.kernel, inputs.dtype))


SMALL_HEIGHT = 4  # of the smaller map; up to here windows are multiplied in one go
FAST = {layers.Conv2D: _Conv2D, layers.Conv2DTranspose: _Conv2DTranspose}
FITTING = {
    "kernel_size": (4, 4),
    "strides": (2, 2),
    "padding": "same",
    "dilation_rate": (1, 1),
    "data_format": "channels_last",
    "use_bias": False,
    "activation": "linear",
}


@tf.custom_gradient
def _reduce(large, kernel):
    """Convolve (B, 2H, 2W, C) with (4, 4, C, F) to (B, H, W, F)."""

    def gradient(small):
        return _transposed(small, kernel), _filter_gradient(large, small)

    return _convolution(large, kernel), gradient


@tf.custom_gradient
def _enlarge(small, kernel):
    """Convolve (B, H, W, F) transposed with (4, 4, C, F) to (B, 2H, 2W, C)."""

    def gradient(large):
        return _convolution(large, kernel), _filter_gradient(large, small)

    return _transposed(small, kernel), gradient


def _convolution(large, kernel):
    if not _is_small(large.shape[1] // 2, large):
        return tf.nn.conv2d(large, kernel, 2, "SAME")
    batch, height, width, _ = tf.unstack(tf.shape(large))
    filters = kernel.shape[-1]
    product = tf.matmul(_windows(large), tf.reshape(kernel, (-1, filters)))
    return tf.reshape(product, (batch, height // 2, width // 2, filters))


def _transposed(small, kernel):
    batch, height, width, _ = tf.unstack(tf.shape(small))
    channels, filters = kernel.shape[2:]
    if not _is_small(small.shape[1], small):
        shape = (batch, 2 * height, 2 * width, channels)
        return tf.nn.conv2d_transpose(small, kernel, shape, 2, "SAME")
    columns = tf.reshape(small, (-1, filters))
    windows = tf.matmul(columns, tf.reshape(kernel, (-1, filters)), transpose_b=True)
    # Windows of 4x4 are 2x2 blocks of 2x2 pixels; each block lands on its neighbours' blocks.
    windows = tf.reshape(windows, (batch, height, width, 2, 2, 2, 2 * channels))
    blocks = tf.add_n(
        [
            tf.pad(
                tf.reshape(windows[:, :, :, y, :, x], (batch, height, width, 4 * channels)),
                [[0, 0], [y, 1 - y], [x, 1 - x], [0, 0]],
            )
            for y in range(2)
            for x in range(2)
        ]
    )
    return tf.nn.depth_to_space(blocks, 2)[:, 1:-1, 1:-1]


def _filter_gradient(large, small):
    """Sum large (B, 2H, 2W, C) times small (B, H, W, F) over all windows, to (4, 4, C, F).

    With a border of 1 and each 2x2 block folded into channels, the 4x4 windows of stride 2 are
    2x2 windows of stride 1, and for each of their 4 offsets the sum is one matrix product. Small
    maps take one product in all.
    """
    channels, filters = large.shape[-1], small.shape[-1]
    columns = tf.reshape(small, (-1, filters))
    if _is_small(small.shape[1], small):
        product = tf.matmul(_windows(large), columns, transpose_a=True)
        return tf.reshape(product, (4, 4, channels, filters))
    _, height, width, _ = tf.unstack(tf.shape(small))
    blocks = tf.nn.space_to_depth(_bordered(large), 2)
    products = [
        tf.matmul(
            tf.reshape(blocks[:, y : y + height, x : x + width], (-1, 4 * channels)),
            columns,
            transpose_a=True,
        )
        for y in range(2)
        for x in range(2)
    ]
    # Offsets of blocks (2, 2) and inside blocks (2, 2) interleave to rows and columns of 4.
    gradient = tf.reshape(tf.stack(products), (2, 2, 2, 2, channels, filters))
    return tf.reshape(tf.transpose(gradient, (0, 2, 1, 3, 4, 5)), (4, 4, channels, filters))


def _is_small(height, maps):
    """Whether maps that are `height` high at their smaller end are better multiplied in one go.

    Measured in float32 alone; 16 bits would also lose digits where windows are added up.
    """
    return height <= SMALL_HEIGHT and maps.dtype == tf.float32


def _windows(large):
    """Return the 4x4 windows of stride 2 of (B, 2H, 2W, C) as rows, (B * H * W, 16 * C)."""
    windows = tf.image.extract_patches(
        _bordered(large), [1, 4, 4, 1], [1, 2, 2, 1], [1, 1, 1, 1], "VALID"
    )
    return tf.reshape(windows, (-1, 16 * large.shape[-1]))


def _bordered(large):
    return tf.pad(large, [[0, 0], [1, 1], [1, 1], [0, 0]])
