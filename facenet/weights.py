"""Reading a FaceNet weight file of any known format, recognised by its content.

Nothing in a file is executed, no other file is opened, and nothing large is allocated before its
declared size is known to be right.
"""

import contextlib
import dataclasses
import hashlib
import pickle
from pathlib import Path

import h5py
import keras

from facenet.contents import Contents
from facenet.errors import BuildError, WeightsError
from facenet.fitting import build_network
from facenet.keras_h5 import open_keras_h5
from facenet.known_files import SOURCES
from facenet.torch_pt import open_torch_legacy, read_torch_zip
from facenet.zip_files import open_zip, read_npz

ADVICE = "FACENET_WEIGHTS must be the embedded file or one that the README lists"
PICKLE_START = pickle.PROTO  # first byte of every pickle since protocol 2
ZIP_START = b"PK\x03\x04"
HDF5_START = b"\x89HDF"


@dataclasses.dataclass(frozen=True)
class Weights:
    """A weight file and its network.

    Attributes:
        network: `keras.Model`, see `build_inception_resnet_v1`.
        contents: `Contents`, closed: what was declared, not to be read any more.
        sha256: of the file, 64 hexadecimal digits.
        source: the project and name it is published under, or None if the hash is not known.
    """

    network: keras.Model
    contents: Contents
    sha256: str
    source: str | None


def load_weights(path):
    """Build the network that a weight file holds and load it.

    Args:
        path: a `.npz` of this repository, an HDF5 file of Keras 2 (model or weights) or Keras 3
            (weights), or a PyTorch `state_dict`; the name of the file does not matter.

    Returns:
        `Weights`.

    Raises:
        WeightsError: one line that says what is wrong with the file and what to do, or with
            something else than the file.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"no FaceNet weight file at {path}: {ADVICE}")
    try:
        with _open(path) as contents:
            network = build_network(contents)
        with open(path, "rb") as file:  # from the system's cache by now
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except BuildError:
        raise
    except MemoryError as error:
        raise BuildError(f"there is not enough memory to load {path}") from error
    except WeightsError as error:
        raise WeightsError(f"{path} {error}. {ADVICE}") from error
    except Exception as error:  # h5py, zipfile and damaged pickles raise many kinds
        reason = " ".join(f"{type(error).__name__} {error}".split())[:200]
        raise WeightsError(f"{path} is damaged or cannot be read ({reason}). {ADVICE}") from error
    return Weights(network, contents, sha256, SOURCES.get(sha256))


@contextlib.contextmanager
def _open(path):
    """Yield the `Contents` of a weight file, whichever format its first bytes and lists tell."""
    with open(path, "rb") as file:
        start = file.read(512)
    if h5py.is_hdf5(path):
        with open_keras_h5(path) as contents:
            yield contents
    elif start[:4] == ZIP_START:
        with open_zip(path) as archive:
            yield _read_zip(archive)
    elif start[:1] == PICKLE_START:
        with open_torch_legacy(path) as contents:
            yield contents
    else:
        raise WeightsError(_what_else(start))


def _read_zip(archive):
    members = archive.namelist()
    if any(name.endswith("/data.pkl") for name in members):
        return read_torch_zip(archive)
    if "model.weights.h5" in members:
        raise WeightsError("is a .keras archive; write model.save_weights('x.weights.h5') instead")
    if members and all(name.endswith(".npy") for name in members):
        return read_npz(archive)
    raise WeightsError("is a zip archive, but neither an .npz nor one of PyTorch")


def _what_else(start):
    """Return what a file is that is no weight file, judging by its first bytes."""
    text = start.lstrip().lower()
    if not start:
        return "is empty"
    if start[:4] == HDF5_START:
        return "is HDF5 cut off at its beginning"
    if text.startswith((b"<!doctype", b"<html")):
        return "is a web page, saved in place of the file: download it again"
    if text.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file it points to: run git lfs pull"
    return "is neither .npz nor HDF5 (.h5) nor of PyTorch (.pt), or its beginning is damaged"
