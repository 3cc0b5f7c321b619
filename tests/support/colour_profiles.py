"""Small colour profiles, written byte by byte."""

import struct

import numpy as np

DISPLAY_P3 = [[0.51512, 0.2412, -0.00105], [0.29198, 0.69225, 0.04189], [0.1571, 0.06657, 0.78407]]


def colour_profile(primaries, gamma):
    """A profile of RGB: XYZ of red, green and blue, and the gamma of their levels or a table."""
    tags = {f"{name}TRC": _curve(gamma) for name in "rgb"}
    tags |= {f"{name}XYZ": _xyz(xyz) for name, xyz in zip("rgb", primaries, strict=True)}
    return _profile("RGB ", "XYZ ", tags)


def grey_profile(gamma):
    return _profile("GRAY", "XYZ ", {"wtpt": _xyz((0.9642, 1, 0.8249)), "kTRC": _curve(gamma)})


def ink_profile():
    """A profile of CMYK under which paper is white, cyan alone grey of L* = 50.2, others black."""
    corners = np.zeros((16, 3), np.uint8) + np.uint8([0, 128, 128])
    corners[[0b0000, 0b1000], 0] = 255, 128
    ramp = bytes(range(256))
    table = struct.pack(">4s4xBBBx9i", b"mft1", 4, 3, 2, *(np.eye(3, dtype=int).ravel() << 16))
    return _profile("CMYK", "Lab ", {"A2B0": table + 4 * ramp + corners.tobytes() + 3 * ramp})


def _curve(gamma):
    if np.ndim(gamma):
        return struct.pack(f">4s4xI{len(gamma)}H", b"curv", len(gamma), *gamma)
    return struct.pack(">4s4xIHxx", b"curv", 1, round(gamma * 256))


def _xyz(values):
    return struct.pack(">4s4x3i", b"XYZ ", *(round(value * 65536) for value in values))


def _profile(space, connection, tags):
    start, table, data = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name.encode(), start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    head = struct.pack(
        ">I4s4s4s4s4s12x4s",
        start + len(data),
        b"",
        b"\x02\x40\0\0",
        b"mntr",
        space.encode(),
        connection.encode(),
        b"acsp",
    )
    head = head.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061)  # D50
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data
