import cv2
import numpy as np
import pytest

from errors import Mistake
from evaluation.alignment import TEMPLATE
from evaluation.onnx_recogniser import OnnxRecogniser

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def network(path, shape, nodes=(), outputs=("embedding",), reduce=True):
    """Write a network that returns the values it is given, in one row per face."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    last = "faces"
    made = []
    for op, value in nodes:
        constant = helper.make_tensor(f"{op}_value", kind, [1], [value])
        made.append(helper.make_node(op, [last, f"{op}_value"], [f"{op}_out"], name=op))
        made.insert(0, helper.make_node("Constant", [], [f"{op}_value"], value=constant))
        last = f"{op}_out"
    results = []
    for name in outputs:
        if name == "norm":
            made.append(helper.make_node("ReduceSum", [last, "axes"], [name], keepdims=0))
            results.append(helper.make_tensor_value_info(name, kind, ["N"]))
        else:
            op = "Flatten" if reduce else "Identity"
            made.append(helper.make_node(op, [last], [name]))
            rank = 2 if reduce else 4
            results.append(helper.make_tensor_value_info(name, kind, [None] * rank))
    axes = helper.make_tensor("axes", onnx.TensorProto.INT64, [3], [1, 2, 3])
    faces = helper.make_tensor_value_info("faces", kind, shape)
    graph = helper.make_graph(made, "g", [faces], results, [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def pixels(size=112, count=1):
    """Faces of one colour, red 10, green 20, blue 30."""
    return np.tile(np.uint8([10, 20, 30]), (count, size, size, 1))


def seen(recogniser, faces, landmarks=None):
    """What the network saw, NCHW or NHWC: it returns its input."""
    embeddings = recogniser.embed(faces, landmarks)
    height, width = recogniser.convention.size
    is_first = recogniser.convention.layout == "NCHW"
    return embeddings.reshape(len(faces), *((3, height, width) if is_first else (height, width, 3)))


@pytest.mark.parametrize(
    ("name", "nodes", "expected"),
    [
        ("w600k_r50.onnx", (), [(v - 127.5) / 127.5 for v in (10, 20, 30)]),
        ("old.onnx", (("Sub", 127.5), ("Mul", 0.0078125)), [10, 20, 30]),
        ("face_recognition_sface_2021dec.onnx", (), [10, 20, 30]),
        ("adaface_ir101.onnx", (), [(v / 255 - 0.5) / 0.5 for v in (30, 20, 10)]),
    ],
)
def test_known_files_get_the_pixels_they_want(tmp_path, name, nodes, expected):
    recogniser = OnnxRecogniser(network(tmp_path / name, ["N", 3, 112, 112], nodes))
    assert recogniser.convention.face == "points"
    inputs = recogniser.inputs(pixels(), TEMPLATE[None])
    np.testing.assert_allclose(inputs[0, :, 56, 56], expected, atol=1e-5)
    assert inputs.dtype == np.float32
    assert inputs.shape == (1, 3, 112, 112)


def test_another_convention_can_be_said(tmp_path):
    path = network(tmp_path / "other.onnx", ["N", 64, 48, 3])
    recogniser = OnnxRecogniser(
        path, channels="BGR", mean=(1.0, 2.0, 3.0), scale=0.5, face="whole", centred=True
    )
    assert recogniser.convention.size == (64, 48)
    assert recogniser.convention.layout == "NHWC"
    faces = seen(recogniser, pixels(128, 20))  # more than a batch
    np.testing.assert_allclose(faces, np.broadcast_to([14.5, 9.0, 3.5], faces.shape), atol=1e-5)


def test_a_part_of_the_face_is_cut_out(tmp_path):
    path = network(tmp_path / "part.onnx", ["N", 3, 8, 8])
    said = {"mean": 0.0, "scale": 1.0, "channels": "RGB"}
    recogniser = OnnxRecogniser(path, face=(0.25, 0.5, 0.75, 1.0), **said)
    picture = np.zeros((1, 32, 32, 3), np.uint8)
    picture[:, 16:, 8:24] = 200
    assert (seen(recogniser, picture) == 200).all()
    picture[:, 16:, 8:16] = 100
    face = seen(recogniser, picture)[0, 0]
    assert face[4, 1] == 100
    assert face[4, 6] == 200


def test_marks_at_the_five_points_land_on_the_template(tmp_path):
    path = network(tmp_path / "w600k_mbf.onnx", ["N", 3, 112, 112])
    # The template, turned by 10 degrees, 1.1 times as large and moved, in a face of 128 x 128.
    angle = np.radians(10)
    turn = 1.1 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (TEMPLATE - 56) @ turn.T + (64, 60)
    inputs = []
    for point in points:
        y, x = np.mgrid[:128, :128]
        blob = np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / (2 * 2.0**2))
        picture = np.uint8(np.repeat(255 * blob[..., None], 3, axis=2))
        inputs.append(OnnxRecogniser(path).inputs(picture[None], points[None])[0, 0])
    for given, target in zip(inputs, TEMPLATE, strict=True):
        weight = given * 127.5 + 127.5
        y, x = np.mgrid[:112, :112]
        found = (weight * x).sum() / weight.sum(), (weight * y).sum() / weight.sum()
        assert found == pytest.approx(target, abs=0.5)


def test_a_whole_face_is_resized_bicubically(tmp_path):
    path = network(tmp_path / "whole.onnx", ["N", 3, 224, 224])
    said = {"mean": 0.0, "scale": 1.0, "channels": "RGB"}
    recogniser = OnnxRecogniser(path, face="whole", **said)
    picture = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    expected = cv2.resize(picture, (224, 224), interpolation=cv2.INTER_CUBIC)
    given = seen(recogniser, picture[None])[0].transpose(1, 2, 0)
    np.testing.assert_array_equal(given, expected)


def test_a_fixed_batch_is_filled_up(tmp_path):
    path = network(tmp_path / "sface.onnx", [1, 3, 112, 112])
    recogniser = OnnxRecogniser(path, face="whole")
    faces = np.stack([pixels()[0] * i for i in (1, 2, 3)])
    assert seen(recogniser, faces)[:, 0, 0, 0].tolist() == [10, 20, 30]


def test_the_output_that_is_a_vector_is_taken(tmp_path):
    path = network(tmp_path / "adaface.onnx", ["N", 3, 112, 112], outputs=("norm", "feature"))
    assert OnnxRecogniser(path).embed(pixels(), TEMPLATE[None]).shape == (1, 3 * 112 * 112)


def test_flipped_inputs_are_averaged(tmp_path):
    path = network(tmp_path / "sface.onnx", ["N", 3, 112, 112])
    recogniser = OnnxRecogniser(path, face="whole")
    picture = pixels()
    picture[:, :, 56:] = 50
    mean = recogniser.embed(picture, None, flip=True).reshape(3, 112, 112)
    assert mean[:, 0, 0].tolist() == mean[:, 0, -1].tolist() == [30, 35, 40]


@pytest.mark.parametrize(
    ("shape", "options", "said", "message"),
    [
        (["N", 3, 224, 224], {}, {}, "takes faces of 224x224, so its input is not known"),
        (["N", 3, "h", "w"], {}, {}, "say its size"),
        (["N", 3, 112, 112], {"reduce": False}, {}, "no vector per face"),
        (["N", 3, 112, 112], {"outputs": ("norm",)}, {}, "no vector per face"),
        (["N", 10], {}, {}, "no face recogniser"),
        (["N", 3, 112, 112], {}, {"size": 224}, "say its size"),
        (["N", 3, 112, 112], {}, {"colour": "RGB"}, "colour is none of centred, channels"),
        (["N", 3, 112, 112], {}, {"channels": "RBG"}, "channels must be .*, not 'RBG'"),
        (["N", 3, 112, 112], {}, {"mean": "127"}, "mean must be a number, or three"),
        (["N", 3, 112, 112], {}, {"face": (0, 0, 1)}, "face must be"),
        (["N", 3, 112, 112], {}, {"face": (0.9, 0.2, 0.1, 0.9)}, "face must be"),
        (["N", 3, 112, 112], {}, {"face": (0.1, 0.1, 0.101, 0.9)}, "face must be"),
        (["N", 3, "h", "w"], {}, {"size": 112.0}, r"size must be pixels, .*, not 112\.0"),
        (["N", 3, "h", "w"], {}, {"size": True}, "size must be pixels"),
        (["N", 3, "h", "w"], {}, {"size": (112,)}, "size must be pixels"),
        (["N", 3, 112, 112], {}, {"output": "gone"}, "no vector per face"),
    ],
)
def test_files_that_are_no_recogniser_are_refused(tmp_path, shape, options, said, message):
    path = network(tmp_path / "net.onnx", shape, **options)
    with pytest.raises(Mistake, match=message) as error:
        OnnxRecogniser(path, **said)
    assert "\n" not in str(error.value)
