"""What can be known of the step on a GPU without one: that all of it can run there."""

from hardware.devices import Devices
from hardware.precision import POLICIES

import keras
import pytest
import tensorflow as tf
from networks import narrow_unet
from tensorflow.python.framework import kernels  # no public name tells which kernels there are

import train
from data import Degradation, to_faces, to_pixels
from facenet import FaceNet

LOW_RESOLUTIONS = [(7, 6), (16, 16)]
BATCH = 2
# "DEFAULT" stands for all devices that have no kernel of their own.
GPU = "GPU", "DEFAULT"


@pytest.fixture(scope="module", autouse=True)
def _kernels_are_known():
    found = kernels.get_registered_kernels_for_op("Conv2D").kernel
    if not any(kernel.device_type == "GPU" for kernel in found):
        pytest.skip("this TensorFlow was built without kernels for GPUs")


PARTS = (((7, 6), 0.25),)


class Parts:
    """The step of train.py with a narrow U-Net, and the functions beside it."""

    def __init__(self, monkeypatch, precision):
        keras.config.set_dtype_policy(POLICIES[precision])
        self.devices = Devices(BATCH, precision, xla=True)
        self.facenet = FaceNet()
        self.unet = narrow_unet(monkeypatch)
        self.optimizer = self.devices.build(keras.optimizers.Adam(1e-4), self.unet)
        self.degradation = Degradation(128, LOW_RESOLUTIONS)
        self.batch = tf.zeros((BATCH, 128, 128, 3), tf.uint8), tf.constant(LOW_RESOLUTIONS)

    def step(self, hr_pixels, low_resolutions):
        parts = self.unet, self.facenet, self.degradation, self.optimizer
        return train.train_step(*parts, hr_pixels, low_resolutions, 5.0, 0.05, True, PARTS)

    def validation(self, hr_pixels, low_resolutions):
        hr_faces = to_faces(hr_pixels)
        lr_faces = self.degradation(hr_faces, low_resolutions)
        sr_faces = self.unet(lr_faces, training=False)
        sr_faces = self.degradation.correct(sr_faces, lr_faces, low_resolutions)
        return to_pixels(sr_faces), self.facenet(sr_faces)

    def embedding(self, hr_pixels, low_resolutions):
        return self.facenet(to_faces(hr_pixels))


@pytest.fixture(params=POLICIES)
def parts(request, monkeypatch):
    before = keras.config.dtype_policy()
    yield Parts(monkeypatch, request.param)
    keras.config.set_dtype_policy(before)


def operations(function, batch):
    """Yield the operations of a function and of all that it calls."""
    graph = tf.function(function).get_concrete_function(*batch).graph.as_graph_def()
    for nodes in (graph.node, *(called.node_def for called in graph.library.function)):
        yield from nodes


def has_gpu_kernel(node):
    """Return whether a kernel for GPUs is registered for an operation and its types."""
    if node.op == "Placeholder":  # an argument
        return True
    return any(
        kernel.device_type in GPU
        and all(
            node.attr[constraint.name].type in constraint.allowed_values.list.type
            for constraint in kernel.constraint
        )
        for kernel in kernels.get_registered_kernels_for_op(node.op).kernel
    )


def without_gpu_kernel(function, batch):
    return {node.op for node in operations(function, batch) if not has_gpu_kernel(node)}


def with_step_of(parts, change):
    """Return the step with something done to its faces before."""
    return lambda hr_pixels, low_resolutions: parts.step(change(hr_pixels), low_resolutions)


def enlarged_and_reduced(hr_pixels):
    small = tf.image.resize(hr_pixels, (64, 64), "bicubic")
    return tf.cast(tf.repeat(tf.repeat(small, 2, axis=1), 2, axis=2), tf.uint8)


def through_python(hr_pixels):
    pixels = tf.numpy_function(lambda pixels: pixels, [hr_pixels], tf.uint8)
    return tf.ensure_shape(pixels, hr_pixels.shape)


CHANGES = {enlarged_and_reduced: "ResizeBicubic", through_python: "PyFunc"}


def to_xla(function, batch):
    """Translate a function for XLA's compiler, which does not run: that takes long."""
    compiled = tf.function(function, jit_compile=True)
    return compiled.experimental_get_compiler_ir(*batch)(stage="hlo")


def test_every_operation_has_a_kernel_for_gpus(parts):
    for function in (parts.step, parts.validation, parts.embedding):
        assert without_gpu_kernel(function, parts.batch) == set()


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("parts", ["float32"], indirect=True)
def test_an_operation_without_such_a_kernel_is_found(parts, change):
    assert without_gpu_kernel(with_step_of(parts, change), parts.batch) == {CHANGES[change]}


def test_the_whole_step_is_one_program_of_xla(parts):
    program = to_xla(parts.step, parts.batch)
    assert program.count("convolution(") > 100  # of both networks, there and back
    assert "custom-call" not in program


@pytest.mark.parametrize("parts", ["float32"], indirect=True)
def test_an_operation_that_xla_cannot_compile_is_found(parts):
    with pytest.raises((tf.errors.OpError, ValueError), match="ResizeBicubic"):
        to_xla(with_step_of(parts, enlarged_and_reduced), parts.batch)
