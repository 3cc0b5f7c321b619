"""What a reader finds in a weight file before it reads any numbers."""

import dataclasses
from collections.abc import Callable

import numpy as np

# Formats, as the start-up line names them.
NPZ = "npz of this repository"
KERAS_2_MODEL = "Keras 2 model"
KERAS_2_WEIGHTS = "Keras 2 weights"
DEEPFACE = "Keras 2 file with deepface's names"
KERAS_FACENET = "Keras 2 file of keras-facenet"
KERAS_3 = "Keras 3 weights"
TORCH_ZIP = "PyTorch zip file"
TORCH_LEGACY = "PyTorch legacy file"


@dataclasses.dataclass(frozen=True)
class StoredArray:
    """An array that a file declares.

    Attributes:
        shape: tuple of its declared dimensions, to be checked before `read` allocates them.
        dtype: its declared `np.dtype`.
        read: function that returns the array; it may raise for damaged files.
    """

    shape: tuple
    dtype: np.dtype
    read: Callable[[], np.ndarray]

    def transpose(self, axes):
        """Return this array with its axes permuted; unchanged if it has another rank."""
        if len(axes) != len(self.shape):
            return self
        shape = tuple(self.shape[axis] for axis in axes)
        return StoredArray(shape, self.dtype, lambda: self.read().transpose(axes))


@dataclasses.dataclass(frozen=True)
class Contents:
    """The arrays of an open weight file.

    Attributes:
        format: one of the constants above.
        arrays: {`<layer>/<array>` in the network's names and axis order: `StoredArray`}. What the
            network does not know stands under the name in the file.
        file_names: {name in `arrays`: name in the file}, where the two differ.
        notes: sentences for the user, such as a repaired fault.
    """

    format: str
    arrays: dict
    file_names: dict = dataclasses.field(default_factory=dict)
    notes: tuple = ()
