"""Files written and embeddings computed by PyTorch and by the legacy Keras package.

PyTorch is large and optional: `pip install torch`.
"""

import functools

import numpy as np
import pytest
from embeddings import assert_same_embeddings, sample_pixels
from facenet_files import deepface_name, share_networks

from facenet import FaceNet


@pytest.fixture(autouse=True)
def networks(monkeypatch):
    share_networks(monkeypatch)


FIXED_128 = (sample_pixels().astype(np.float32) - 127.5) / 128.0


def required(package):
    return pytest.importorskip(package, reason=f"{package} is not installed: it is optional")


# --- PyTorch ---


@functools.cache
def torch_network(classes=8631):
    """Inception-ResNet-v1 in PyTorch with facenet-pytorch's names and seeded random weights."""
    torch = required("torch")
    from torch import nn

    class Convolution(nn.Module):
        def __init__(self, depth_in, depth_out, kernel, stride=1, padding=0):
            super().__init__()
            self.conv = nn.Conv2d(depth_in, depth_out, kernel, stride, padding, bias=False)
            self.bn = nn.BatchNorm2d(depth_out, eps=0.001)

        def forward(self, x):
            return torch.relu(self.bn(self.conv(x)))

    def chain(depth, *layers):
        """Convolutions (depth, kernel, stride), padded to keep the size at stride 1."""
        convolutions = []
        for depth_out, kernel, stride in layers:
            padding = tuple(side // 2 for side in kernel) if stride == 1 else 0
            convolutions.append(Convolution(depth, depth_out, kernel, stride, padding))
            depth = depth_out
        return convolutions[0] if len(layers) == 1 else nn.Sequential(*convolutions)

    class Block(nn.Module):
        """Branches side by side; added to the input if `scale` is given, else with a pool."""

        def __init__(self, depth, branches, scale=None, is_last=False):
            super().__init__()
            self.count, self.scale, self.is_last = len(branches), scale, is_last
            for i, layers in enumerate(branches):
                setattr(self, f"branch{i}", chain(depth, *layers))
            if scale:
                width = sum(layers[-1][0] for layers in branches)
                self.conv2d = nn.Conv2d(width, depth, 1)

        def forward(self, x):
            parts = [getattr(self, f"branch{i}")(x) for i in range(self.count)]
            if not self.scale:
                return torch.cat([*parts, nn.functional.max_pool2d(x, 3, 2)], 1)
            x = x + self.scale * self.conv2d(torch.cat(parts, 1))
            return x if self.is_last else torch.relu(x)

    def separable(depth, side):
        single = (depth, (1, 1), 1)
        return [single], [single, (depth, (1, side), 1), (depth, (side, 1), 1)]

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            one, three = (1, 1), (3, 3)
            self.conv2d_1a = Convolution(3, 32, 3, 2)
            self.conv2d_2a = Convolution(32, 32, 3)
            self.conv2d_2b = Convolution(32, 64, 3, padding=1)
            self.conv2d_3b = Convolution(64, 80, 1)
            self.conv2d_4a = Convolution(80, 192, 3)
            self.conv2d_4b = Convolution(192, 256, 3, 2)
            b0 = [(32, one, 1)]
            branches = (b0, [*b0, (32, three, 1)], [*b0, (32, three, 1), (32, three, 1)])
            self.repeat_1 = nn.Sequential(*(Block(256, branches, 0.17) for _ in range(5)))
            down = [(192, one, 1), (192, three, 1), (256, three, 2)]
            self.mixed_6a = Block(256, ([(384, three, 2)], down))
            self.repeat_2 = nn.Sequential(*(Block(896, separable(128, 7), 0.1) for _ in range(10)))
            first, last = (256, one, 1), (256, three, 2)
            downs = ([first, (384, three, 2)], [first, last], [first, (256, three, 1), last])
            self.mixed_7a = Block(896, downs)
            self.repeat_3 = nn.Sequential(*(Block(1792, separable(192, 3), 0.2) for _ in range(5)))
            self.block8 = Block(1792, separable(192, 3), 1.0, is_last=True)
            self.last_linear = nn.Linear(1792, 512, bias=False)
            self.last_bn = nn.BatchNorm1d(512, eps=0.001)
            self.logits = nn.Linear(512, classes)

        def forward(self, x):
            x = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x)))
            x = self.conv2d_3b(nn.functional.max_pool2d(x, 3, 2))
            x = self.repeat_1(self.conv2d_4b(self.conv2d_4a(x)))
            x = self.repeat_3(self.mixed_7a(self.repeat_2(self.mixed_6a(x))))
            return self.last_bn(self.last_linear(self.block8(x).mean((2, 3))))

    torch.manual_seed(0)
    network = Network().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.3)
            nn.init.normal_(module.bias, 0.1, 0.2)
            nn.init.normal_(module.running_mean, 0.0, 0.1)
            nn.init.uniform_(module.running_var, 0.2, 1.5)
    for parameter in network.parameters():  # the published files keep TensorFlow's memory layout
        if parameter.ndim == 4:
            parameter.data = parameter.data.permute(2, 3, 1, 0).contiguous().permute(3, 2, 0, 1)
        elif parameter.ndim == 2:
            parameter.data = parameter.data.T.contiguous().T
    return network


@functools.cache
def torch_reference():
    torch = required("torch")
    with torch.no_grad():
        faces = torch.from_numpy(FIXED_128.transpose(0, 3, 1, 2))
        return torch_network()(faces).numpy()


def saved_as(path, is_legacy, change=lambda state: state):
    torch = required("torch")
    state = change(torch_network().state_dict())
    torch.save(state, path, _use_new_zipfile_serialization=not is_legacy)
    return path


@pytest.mark.parametrize("is_legacy", [True, False])
def test_files_of_torch_give_the_embeddings_of_torch(tmp_path, is_legacy):
    path = saved_as(tmp_path / "20180402-114759-vggface2.pt", is_legacy)
    assert torch_network().conv2d_1a.conv.weight.stride() == (1, 32, 288, 96)
    facenet = FaceNet(path)
    assert ("legacy" in facenet.description) is is_legacy
    assert facenet.network.count_params() == 23_497_424
    assert_same_embeddings(facenet, torch_reference())


CHANGES = {
    "wrapped": lambda state: {"epoch": 3, "state_dict": state},
    "of a parallel module": lambda state: {f"module.{key}": state[key] for key in state},
    "of parameters": lambda state: state | dict(torch_network().named_parameters()),
    "of contiguous tensors": lambda state: {key: state[key].contiguous() for key in state},
    "of the features": lambda state: {key: state[key] for key in state if "logits" not in key},
    "of doubles": lambda state: {key: state[key].double() for key in state},
    "of views of larger tensors": lambda state: {
        key: required("torch").cat([value.flatten()] * 2)[value.numel() :].reshape(value.shape)
        for key, value in state.items()
    },
}


@pytest.mark.parametrize("is_legacy", [True, False])
@pytest.mark.parametrize("change", CHANGES)
def test_variants_that_people_save_are_read_too(tmp_path, is_legacy, change):
    path = saved_as(tmp_path / "a.pt", is_legacy, CHANGES[change])
    assert_same_embeddings(FaceNet(path), torch_reference())


# --- Legacy Keras ---


@functools.cache
def keras_2_network(embedding_size, rename=str, ends_normalized=False, has_skips=True):
    """Inception-ResNet-v1 in Keras 2, half as wide, with Lambda layers and seeded random weights.

    Returns (the model, a model of the raw embeddings).
    """
    tf_keras = required("tf_keras")
    layers = tf_keras.layers

    def batch_norm(x, name):
        name = rename(f"{name}_BatchNorm")
        return layers.BatchNormalization(momentum=0.995, epsilon=0.001, scale=False, name=name)(x)

    def conv(x, depth, kernel, name, strides=1, padding="same"):
        x = layers.Conv2D(depth // 2, kernel, strides, padding, use_bias=False, name=rename(name))(
            x
        )
        return layers.Activation("relu")(batch_norm(x, name))

    def chain(x, name, *convolutions):
        for depth, kernel, place in convolutions:
            x = conv(x, depth, kernel, f"{name}_Conv2d_{place}")
        return x

    def scaling(x, scale):
        return x * scale

    def residual(x, name, scale, branches, is_last=False):
        up = layers.Concatenate()(branches)
        up = layers.Conv2D(x.shape[-1], 1, name=f"{name}_Conv2d_1x1")(up)
        scaled = layers.Lambda(scaling, arguments={"scale": scale})(up)
        x = layers.add([x, scaled] if has_skips else [scaled, up])
        return x if is_last else layers.Activation("relu")(x)

    def separable(x, name, depth, side):
        one, wide, high = (depth, 1, "0a_1x1"), (1, side), (side, 1)
        middle = [(depth, wide, f"0b_1x{side}"), (depth, high, f"0c_{side}x1")]
        return [
            chain(x, f"{name}_Branch_0", (depth, 1, "1x1")),
            chain(x, f"{name}_Branch_1", one, *middle),
        ]

    inputs = layers.Input((160, 160, 3))
    x = conv(inputs, 32, 3, "Conv2d_1a_3x3", 2, "valid")
    x = conv(x, 32, 3, "Conv2d_2a_3x3", 1, "valid")
    x = conv(x, 64, 3, "Conv2d_2b_3x3")
    x = conv(layers.MaxPooling2D(3, 2)(x), 80, 1, "Conv2d_3b_1x1", 1, "valid")
    x = conv(x, 192, 3, "Conv2d_4a_3x3", 1, "valid")
    x = conv(x, 256, 3, "Conv2d_4b_3x3", 2, "valid")
    for i in range(1, 6):
        name, first = f"Block35_{i}", (32, 1, "0a_1x1")
        second, third = (32, 3, "0b_3x3"), (32, 3, "0c_3x3")
        branches = [
            chain(x, f"{name}_Branch_0", (32, 1, "1x1")),
            chain(x, f"{name}_Branch_1", first, second),
            chain(x, f"{name}_Branch_2", first, second, third),
        ]
        x = residual(x, name, 0.17, branches)
    b1 = chain(x, "Mixed_6a_Branch_1", (192, 1, "0a_1x1"), (192, 3, "0b_3x3"))
    b0 = conv(x, 384, 3, "Mixed_6a_Branch_0_Conv2d_1a_3x3", 2, "valid")
    b1 = conv(b1, 256, 3, "Mixed_6a_Branch_1_Conv2d_1a_3x3", 2, "valid")
    x = layers.Concatenate()([b0, b1, layers.MaxPooling2D(3, 2)(x)])
    for i in range(1, 11):
        x = residual(x, f"Block17_{i}", 0.1, separable(x, f"Block17_{i}", 128, 7))
    parts = []
    for branch, depth in ((0, 384), (1, 256), (2, 256)):
        name = f"Mixed_7a_Branch_{branch}"
        b = chain(x, name, (256, 1, "0a_1x1"), *([(256, 3, "0b_3x3")] * (branch == 2)))
        parts.append(conv(b, depth, 3, f"{name}_Conv2d_1a_3x3", 2, "valid"))
    x = layers.Concatenate()([*parts, layers.MaxPooling2D(3, 2)(x)])
    for i in range(1, 7):
        name = f"Block8_{i}"
        x = residual(x, name, 0.2 if i < 6 else 1.0, separable(x, name, 192, 3), i == 6)
    x = layers.Dropout(0.2, name="Dropout")(layers.GlobalAveragePooling2D(name="AvgPool")(x))
    raw = batch_norm(
        layers.Dense(embedding_size, use_bias=False, name="Bottleneck")(x), "Bottleneck"
    )
    outputs = raw
    if ends_normalized:
        normalize = tf_keras.backend.l2_normalize
        outputs = layers.Lambda(lambda x: normalize(x, axis=1), name="normalize")(raw)
    model = tf_keras.Model(inputs, outputs)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        values = []
        for variable in layer.weights:
            value = rng.normal(0.0, 1 / np.sqrt(np.prod(variable.shape[:-1])), variable.shape)
            if "moving_variance" in variable.name:
                value = rng.uniform(0.5, 2.0, variable.shape)
            values.append(value)
        layer.set_weights(values)
    return model, tf_keras.Model(inputs, raw)


KERAS_2 = {
    # options of keras_2_network, whole model, standardisation
    "facenet_keras.h5": ((128,), True, "prewhiten"),
    "facenet_keras_weights.h5": ((128,), False, "prewhiten"),
    "facenet_weights.h5": ((128, deepface_name), False, "prewhiten"),
    "facenet512_weights.h5": ((512, deepface_name), False, "fixed_128"),
    "20180402-114759-weights.h5": ((512, str, True), False, "fixed_128"),
    "20180402-114759.h5": ((512, str, True), True, "fixed_128"),
}


@pytest.mark.parametrize("name", KERAS_2)
def test_files_of_keras_2_give_the_embeddings_of_keras_2(tmp_path, name):
    import numpy_facenet

    options, is_model, standardization = KERAS_2[name]
    model, raw = keras_2_network(*options)
    (model.save if is_model else model.save_weights)(tmp_path / name)
    facenet = FaceNet(tmp_path / name)
    assert facenet.input_name == standardization
    faces = numpy_facenet.STANDARDIZATIONS[standardization](sample_pixels())
    assert_same_embeddings(facenet, raw(faces.astype(np.float32)).numpy())


def test_a_model_of_keras_2_without_skips_gives_the_embeddings_with_skips(tmp_path):
    import numpy_facenet

    lost, raw_lost = keras_2_network(128, has_skips=False)
    right, raw = keras_2_network(128)
    lost.set_weights(right.get_weights())
    lost.save(tmp_path / "facenet_keras.h5")
    facenet = FaceNet(tmp_path / "facenet_keras.h5")
    assert "lacks the skip connections" in facenet.description
    faces = numpy_facenet.prewhiten(sample_pixels()).astype(np.float32)
    assert_same_embeddings(facenet, raw(faces).numpy())
    with pytest.raises(AssertionError):
        assert_same_embeddings(facenet, raw_lost(faces).numpy())
