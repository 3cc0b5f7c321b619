"""Inception-ResNet-v1 in plain NumPy, written from the paper's blocks: a second opinion."""

import numpy as np


def embed(arrays, faces):
    """Compute raw embeddings.

    Args:
        arrays: {`<layer>/<array>`: array}, with or without gammas.
        faces: (B, 160, 160, 3), standardised.

    Returns:
        (B, E), float64.
    """

    def conv(x, layer, strides=1, padding="same"):
        x = convolve(x, arrays[f"{layer}/kernel"], strides, padding)
        return np.maximum(normalize(x, f"{layer}_BatchNorm"), 0.0)

    def normalize(x, layer):
        mean, variance, beta = (
            arrays[f"{layer}/{name}"].astype(float)
            for name in ("moving_mean", "moving_variance", "beta")
        )
        gamma = arrays.get(f"{layer}/gamma", 1.0)
        return gamma * (x - mean) / np.sqrt(variance + 0.001) + beta

    def chain(x, block, branch, *layers):
        for layer in layers:
            x = conv(x, f"{block}_Branch_{branch}_Conv2d_{layer}")
        return x

    def residual(x, block, scale, *branches):
        up = convolve(np.concatenate(branches, -1), arrays[f"{block}_Conv2d_1x1/kernel"])
        return x + scale * (up + arrays[f"{block}_Conv2d_1x1/bias"])

    def reduce(x, layer):
        return conv(x, f"{layer}_Conv2d_1a_3x3", 2, "valid")

    x = conv(np.asarray(faces, float), "Conv2d_1a_3x3", 2, "valid")
    x = conv(x, "Conv2d_2a_3x3", 1, "valid")
    x = pool(conv(x, "Conv2d_2b_3x3"))
    x = conv(conv(x, "Conv2d_3b_1x1"), "Conv2d_4a_3x3", 1, "valid")
    x = conv(x, "Conv2d_4b_3x3", 2, "valid")
    for i in range(1, 6):
        block = f"Block35_{i}"
        b0 = chain(x, block, 0, "1x1")
        b1 = chain(x, block, 1, "0a_1x1", "0b_3x3")
        b2 = chain(x, block, 2, "0a_1x1", "0b_3x3", "0c_3x3")
        x = np.maximum(residual(x, block, 0.17, b0, b1, b2), 0.0)
    b1 = reduce(chain(x, "Mixed_6a", 1, "0a_1x1", "0b_3x3"), "Mixed_6a_Branch_1")
    x = np.concatenate([reduce(x, "Mixed_6a_Branch_0"), b1, pool(x)], -1)
    for i in range(1, 11):
        block = f"Block17_{i}"
        b1 = chain(x, block, 1, "0a_1x1", "0b_1x7", "0c_7x1")
        x = np.maximum(residual(x, block, 0.1, chain(x, block, 0, "1x1"), b1), 0.0)
    b0 = reduce(chain(x, "Mixed_7a", 0, "0a_1x1"), "Mixed_7a_Branch_0")
    b1 = reduce(chain(x, "Mixed_7a", 1, "0a_1x1"), "Mixed_7a_Branch_1")
    b2 = reduce(chain(x, "Mixed_7a", 2, "0a_1x1", "0b_3x3"), "Mixed_7a_Branch_2")
    x = np.concatenate([b0, b1, b2, pool(x)], -1)
    for i in range(1, 7):
        block = f"Block8_{i}"
        b1 = chain(x, block, 1, "0a_1x1", "0b_1x3", "0c_3x1")
        x = residual(x, block, 0.2 if i < 6 else 1.0, chain(x, block, 0, "1x1"), b1)
        x = np.maximum(x, 0.0) if i < 6 else x
    x = x.mean(axis=(1, 2)) @ arrays["Bottleneck/kernel"].astype(float)
    return normalize(x, "Bottleneck_BatchNorm")


def convolve(x, kernel, strides=1, padding="same"):
    """Correlate (B, H, W, I) with a kernel (h, w, I, O); "same" is for strides of 1."""
    height, width = kernel.shape[:2]
    if padding == "same":
        margins = [(side // 2, side // 2) for side in (height, width)]
        x = np.pad(x, [(0, 0), *margins, (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(x, (height, width), axis=(1, 2))
    windows = windows[:, ::strides, ::strides]  # (B, H', W', I, h, w)
    return np.tensordot(windows, kernel.astype(float), axes=([4, 5, 3], [0, 1, 2]))


def pool(x):
    """Return the maximum of 3x3 pixels, every second pixel, without padding."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    return windows[:, ::2, ::2].max(axis=(4, 5))


def prewhiten(pixels):
    """(x - mean) / max(std, 1 / sqrt(size)) of each face of 0..255 pixels."""
    faces = [np.asarray(face, float) for face in pixels]
    return np.stack([(x - x.mean()) / max(x.std(), 1 / np.sqrt(x.size)) for x in faces])


STANDARDIZATIONS = {
    "prewhiten": prewhiten,
    "fixed_128": lambda pixels: (np.asarray(pixels, float) - 127.5) / 128.0,
    "fixed_127.5": lambda pixels: (np.asarray(pixels, float) - 127.5) / 127.5,
    "deepface": lambda pixels: np.asarray(pixels, float)[..., ::-1] / 255.0,
}
