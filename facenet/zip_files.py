"""Zip archives, opened without trusting the sizes they declare."""

import contextlib
import math
import struct
import zipfile

import numpy as np

from facenet.contents import NPZ, Contents, StoredArray
from facenet.errors import WeightsError

END = b"PK\x05\x06"  # starts the record at the end of a zip, which may have a comment behind it
END_SIZE = 22  # bytes
LARGEST_COMMENT = 1 << 16  # bytes
LARGEST_DIRECTORY = 1 << 20  # bytes of the list of members; 900 torch members need about 0.1 MB
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@contextlib.contextmanager
def open_zip(path):
    """Open a zip archive whose list of members is of a credible size.

    Raises:
        WeightsError: no zip, too long a list, or two members of the same name.
    """
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - LARGEST_COMMENT - END_SIZE))
        tail = file.read()
        start = tail.rfind(END)
        if start < 0 or len(tail) < start + END_SIZE:
            raise WeightsError("is a zip archive without its end, so it is cut off")
        (directory_size,) = struct.unpack_from("<I", tail, start + 12)
        if directory_size > LARGEST_DIRECTORY:
            raise WeightsError("is a zip archive with far more members than a FaceNet has")
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            if len(set(names)) < len(names):
                raise WeightsError("is a zip archive that holds two members of the same name")
            yield archive


def read_member(archive, name, size):
    """Return the bytes of a member, which must be exactly `size` long and pass its checksum."""
    member = archive.getinfo(name)
    if member.compress_type not in COMPRESSIONS:
        raise WeightsError(f"compresses {name} in an unusual way")
    if member.file_size != size:
        raise WeightsError(f"declares {member.file_size} bytes for {name} instead of {size}")
    with archive.open(member) as stream:
        data = stream.read(size)
        if len(data) != size or stream.read(1):
            raise WeightsError(f"holds more or less than the {size} bytes it declares for {name}")
    return data


def read_npz(archive):
    """Return the `Contents` of an open `.npz` whose members are `<layer>/<array>.npy`."""
    arrays = {
        name.removesuffix(".npy"): _stored_array(archive, name) for name in archive.namelist()
    }
    return Contents(NPZ, arrays)


def _stored_array(archive, name):
    with archive.open(name) as stream:
        if np.lib.format.read_magic(stream) != (1, 0):  # later versions allow headers of 4 GB
            raise WeightsError(f"holds {name} in another version of the npy format than 1.0")
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        start = stream.tell()

    def read():
        size = math.prod(shape) * dtype.itemsize
        data = read_member(archive, name, start + size)
        order = "F" if is_fortran else "C"
        return np.frombuffer(data, dtype, offset=start).reshape(shape, order=order)

    return StoredArray(shape, dtype, read)
