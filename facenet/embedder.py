"""From faces to embeddings: resizing, standardisation and the frozen network, sealed together."""

from pathlib import Path

from keras import ops

from facenet.errors import WeightsError
from facenet.inception_resnet_v1 import INPUT_SIZE
from facenet.inputs import AUTO, DESCRIPTIONS, INPUTS, choose_input
from facenet.resizing import resize_bicubic
from facenet.weights import load_weights

EMBEDDED_WEIGHTS = Path(__file__).parent / "inception_resnet_v1_half.npz"


class FaceNet:
    """A frozen, differentiable face recogniser.

    Attributes:
        network: the `keras.Model` from standardised faces to embeddings; never trained.
        embedding_size: length E of an embedding.
        input_name: how faces are standardised, a key of `inputs.INPUTS`.
        description: one line for the user: file, format, source, network, input.
        fingerprint: start of the file's SHA-256, to tell weights apart, and `input_name` if it is
            not the one that belongs to the file.
    """

    def __init__(self, weights_path=EMBEDDED_WEIGHTS, input_name=AUTO):
        """Build the network that a weight file holds and load it.

        Args:
            weights_path: the embedded half-width network (default) or any published FaceNet, see
                `load_weights`.
            input_name: key of `inputs.INPUTS`, or "auto" for the one that belongs to the file.

        Raises:
            WeightsError: the file is missing, damaged or not a FaceNet, or the input is unknown;
                the message says which.
        """
        if input_name not in (AUTO, *INPUTS):
            raise WeightsError(
                f"FACENET_INPUT must be one of {', '.join((AUTO, *INPUTS))}, not {input_name!r}"
            )
        weights = load_weights(weights_path)
        self.network = weights.network
        self.network.trainable = False
        self.embedding_size = self.network.output_shape[-1]
        own_input = choose_input(self.embedding_size)
        self.input_name = own_input if input_name == AUTO else input_name
        if self.input_name is None:
            raise WeightsError(
                f"{weights_path} gives {self.embedding_size} numbers per face, published FaceNets "
                "128 or 512, so its input standardisation is unknown: if you know it, set "
                f"FACENET_INPUT to one of {', '.join(INPUTS)}"
            )
        self.fingerprint = weights.sha256[:16]
        if self.input_name != own_input:
            self.fingerprint += f" {self.input_name}"
        self.description = self._describe(Path(weights_path).name, weights, own_input)

    def _describe(self, file_name, weights, own_input):
        source = f"{weights.contents.format}, {weights.source or 'source unknown'}"
        seen = DESCRIPTIONS[self.input_name]
        if self.input_name != own_input:
            seen += " (set by FACENET_INPUT)"
        parts = [
            f"{self.network.count_params():,} parameters in {len(weights.contents.arrays)} arrays",
            f"{self.embedding_size}-d",
            seen,
            *weights.contents.notes,
        ]
        return f"{file_name} ({source}): Inception-ResNet-v1, {', '.join(parts)}"

    def __call__(self, faces):
        """Embed faces. Gradients flow back to the faces, never into the network.

        Args:
            faces: float32 (B, H, W, 3), RGB in [-1, 1], H and W known and at least 1. They are
                resized bicubically to 160x160; at 160x160 nothing is resampled.

        Returns:
            float32 (B, E) raw embeddings, not scaled to unit length.
        """
        faces = resize_bicubic(ops.cast(faces, "float32"), INPUT_SIZE)
        return self.network(INPUTS[self.input_name](faces), training=False)
