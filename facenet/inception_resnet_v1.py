"""Inception-ResNet-v1 as used by FaceNet (Szegedy et al. 2016; Schroff et al. 2015).

Layers carry the names of the Keras FaceNet (`facenet_keras.h5`), so that every array of a weight
file can be traced to its place. Shapes in comments are for width 1.0.
"""

import keras
from keras import layers

INPUT_SIZE = 160
LAYOUT = "channels_last"  # whatever the user's configuration of Keras says


def build_inception_resnet_v1(width=1.0, embedding_size=128):
    """Build Inception-ResNet-v1 without weights.

    Args:
        width: factor on the filters of every convolution, like MobileNet's alpha; 1.0 is FaceNet
            (22,808,144 parameters with 128 outputs), 0.5 the network embedded here (5,775,848).
        embedding_size: length of the embedding; published weights have 128 or 512.

    Returns:
        A `keras.Model` from standardised RGB faces, float32 (B, 160, 160, 3), to raw embeddings,
        float32 (B, embedding_size): the batch-normalised output, not scaled to unit length.
    """

    def scaled(filters):
        return filters if width == 1.0 else max(8, round(filters * width / 8) * 8)

    def conv(x, filters, kernel, name, strides=1, padding="same"):
        x = layers.Conv2D(
            scaled(filters),
            kernel,
            strides,
            padding,
            data_format=LAYOUT,
            use_bias=False,
            name=name,
        )(x)
        x = _batch_norm(name)(x)
        return layers.Activation("relu", name=f"{name}_Activation")(x)

    def residual(x, branches, scale, name, activation="relu"):
        """Return activation(x + scale * up), `up` a biased 1x1 convolution of the branches."""
        x_depth = x.shape[-1]
        up = layers.Concatenate(name=f"{name}_Concatenate")(branches)
        up = layers.Conv2D(x_depth, 1, data_format=LAYOUT, name=f"{name}_Conv2d_1x1")(up)
        x = layers.Add(name=f"{name}_Add")([x, layers.Rescaling(scale, name=f"{name}_Scale")(up)])
        return layers.Activation(activation, name=f"{name}_Activation")(x) if activation else x

    def block35(x, name):
        b0 = conv(x, 32, 1, f"{name}_Branch_0_Conv2d_1x1")
        b1 = conv(x, 32, 1, f"{name}_Branch_1_Conv2d_0a_1x1")
        b1 = conv(b1, 32, 3, f"{name}_Branch_1_Conv2d_0b_3x3")
        b2 = conv(x, 32, 1, f"{name}_Branch_2_Conv2d_0a_1x1")
        b2 = conv(b2, 32, 3, f"{name}_Branch_2_Conv2d_0b_3x3")
        b2 = conv(b2, 32, 3, f"{name}_Branch_2_Conv2d_0c_3x3")
        return residual(x, [b0, b1, b2], 0.17, name)

    def block17(x, name):
        b0 = conv(x, 128, 1, f"{name}_Branch_0_Conv2d_1x1")
        b1 = conv(x, 128, 1, f"{name}_Branch_1_Conv2d_0a_1x1")
        b1 = conv(b1, 128, (1, 7), f"{name}_Branch_1_Conv2d_0b_1x7")
        b1 = conv(b1, 128, (7, 1), f"{name}_Branch_1_Conv2d_0c_7x1")
        return residual(x, [b0, b1], 0.1, name)

    def block8(x, name, scale=0.2, activation="relu"):
        b0 = conv(x, 192, 1, f"{name}_Branch_0_Conv2d_1x1")
        b1 = conv(x, 192, 1, f"{name}_Branch_1_Conv2d_0a_1x1")
        b1 = conv(b1, 192, (1, 3), f"{name}_Branch_1_Conv2d_0b_1x3")
        b1 = conv(b1, 192, (3, 1), f"{name}_Branch_1_Conv2d_0c_3x1")
        return residual(x, [b0, b1], scale, name, activation)

    # Stem: (B, 160, 160, 3)
    inputs = keras.Input((INPUT_SIZE, INPUT_SIZE, 3), name="standardized_faces", dtype="float32")
    x = conv(inputs, 32, 3, "Conv2d_1a_3x3", strides=2, padding="valid")  # (B, 79, 79, 32)
    x = conv(x, 32, 3, "Conv2d_2a_3x3", padding="valid")  # (B, 77, 77, 32)
    x = conv(x, 64, 3, "Conv2d_2b_3x3")  # (B, 77, 77, 64)
    x = layers.MaxPooling2D(3, 2, data_format=LAYOUT, name="MaxPool_3a_3x3")(x)  # (B, 38, 38, 64)
    x = conv(x, 80, 1, "Conv2d_3b_1x1")  # (B, 38, 38, 80)
    x = conv(x, 192, 3, "Conv2d_4a_3x3", padding="valid")  # (B, 36, 36, 192)
    x = conv(x, 256, 3, "Conv2d_4b_3x3", strides=2, padding="valid")  # (B, 17, 17, 256)

    # 5 x Block35: (B, 17, 17, 256)
    for i in range(1, 6):
        x = block35(x, f"Block35_{i}")

    # Mixed_6a: (B, 8, 8, 896)
    b0 = conv(x, 384, 3, "Mixed_6a_Branch_0_Conv2d_1a_3x3", strides=2, padding="valid")
    b1 = conv(x, 192, 1, "Mixed_6a_Branch_1_Conv2d_0a_1x1")
    b1 = conv(b1, 192, 3, "Mixed_6a_Branch_1_Conv2d_0b_3x3")
    b1 = conv(b1, 256, 3, "Mixed_6a_Branch_1_Conv2d_1a_3x3", strides=2, padding="valid")
    pool = layers.MaxPooling2D(3, 2, data_format=LAYOUT, name="Mixed_6a_Branch_2_MaxPool_1a_3x3")(x)
    x = layers.Concatenate(name="Mixed_6a")([b0, b1, pool])

    # 10 x Block17: (B, 8, 8, 896)
    for i in range(1, 11):
        x = block17(x, f"Block17_{i}")

    # Mixed_7a: (B, 3, 3, 1792)
    b0 = conv(x, 256, 1, "Mixed_7a_Branch_0_Conv2d_0a_1x1")
    b0 = conv(b0, 384, 3, "Mixed_7a_Branch_0_Conv2d_1a_3x3", strides=2, padding="valid")
    b1 = conv(x, 256, 1, "Mixed_7a_Branch_1_Conv2d_0a_1x1")
    b1 = conv(b1, 256, 3, "Mixed_7a_Branch_1_Conv2d_1a_3x3", strides=2, padding="valid")
    b2 = conv(x, 256, 1, "Mixed_7a_Branch_2_Conv2d_0a_1x1")
    b2 = conv(b2, 256, 3, "Mixed_7a_Branch_2_Conv2d_0b_3x3")
    b2 = conv(b2, 256, 3, "Mixed_7a_Branch_2_Conv2d_1a_3x3", strides=2, padding="valid")
    pool = layers.MaxPooling2D(3, 2, data_format=LAYOUT, name="Mixed_7a_Branch_3_MaxPool_1a_3x3")(x)
    x = layers.Concatenate(name="Mixed_7a")([b0, b1, b2, pool])

    # 6 x Block8, the last one unscaled and linear: (B, 3, 3, 1792)
    for i in range(1, 6):
        x = block8(x, f"Block8_{i}")
    x = block8(x, "Block8_6", scale=1.0, activation=None)

    # Embedding: (B, 1792), then (B, embedding_size). float32 under mixed precision too.
    x = layers.GlobalAveragePooling2D(data_format=LAYOUT, name="AvgPool", dtype="float32")(x)
    x = layers.Dense(embedding_size, use_bias=False, name="Bottleneck", dtype="float32")(x)
    outputs = _batch_norm("Bottleneck", dtype="float32")(x)
    return keras.Model(inputs, outputs, name="inception_resnet_v1")


def _batch_norm(name, dtype=None):
    return layers.BatchNormalization(
        momentum=0.995, epsilon=1e-3, scale=False, name=f"{name}_BatchNorm", dtype=dtype
    )
