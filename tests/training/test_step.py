"""What can be known of the step on a GPU without one: that all of it can run there."""

from hardware.devices import Devices
from hardware.precision import POLICIES

import functools

import keras
import pytest
import tensorflow as tf
from networks import narrow_unet
from tensorflow.python.framework import kernels  # no public name tells which kernels there are

import train
from data import Degradation, to_faces, to_pixels
from facenet import FaceNet

pytestmark = pytest.mark.long
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
    """The step of train.py with a narrow U-Net, traced once, and the functions beside it."""

    def __init__(self, precision):
        self.devices = Devices(BATCH, precision, xla=True)
        self.facenet = FaceNet()
        with pytest.MonkeyPatch.context() as patch:
            self.unet = narrow_unet(patch)
        self.optimizer = self.devices.build(keras.optimizers.Adam(1e-4), self.unet)
        self.degradation = Degradation(128, LOW_RESOLUTIONS)
        self.batch = tf.zeros((BATCH, 128, 128, 3), tf.uint8), tf.constant(LOW_RESOLUTIONS)
        self.traced = self.trace(self.step_of(self.facenet, 0.05))

    def trace(self, function):
        """Return a function of a batch, traced to become one program of XLA."""
        traced = tf.function(function, jit_compile=True)
        traced.get_concrete_function(*self.batch)
        return traced

    def step_of(self, facenet, embedding_weight, change=lambda hr_pixels: hr_pixels):
        """Return the step with something done to its faces before."""

        def step(hr_pixels, low_resolutions):
            parts = self.unet, facenet, self.degradation, self.optimizer
            batch = change(hr_pixels), low_resolutions
            return train.train_step(*parts, *batch, 5.0, embedding_weight, True, PARTS)

        return step

    def validation(self, hr_pixels, low_resolutions):
        hr_faces = to_faces(hr_pixels)
        lr_faces = self.degradation(hr_faces, low_resolutions)
        sr_faces = self.unet(lr_faces, training=False)
        sr_faces = self.degradation.correct(sr_faces, lr_faces, low_resolutions)
        return to_pixels(sr_faces), self.facenet(sr_faces)  # as in the step, of HR faces, too


@pytest.fixture(scope="module", params=POLICIES)
def parts(request):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(POLICIES[request.param])
    yield Parts(request.param)
    keras.config.set_dtype_policy(before)


def operations(traced, batch):
    """Yield the operations of a function and of all that it calls."""
    graph = traced.get_concrete_function(*batch).graph.as_graph_def()
    for nodes in (graph.node, *(called.node_def for called in graph.library.function)):
        yield from nodes


@functools.cache
def kernels_for_gpus(operation):
    """Return [{attribute: types that it may have}] of the kernels of an operation."""
    return [
        {c.name: frozenset(c.allowed_values.list.type) for c in kernel.constraint}
        for kernel in kernels.get_registered_kernels_for_op(operation).kernel
        if kernel.device_type in GPU
    ]


def has_gpu_kernel(node):
    """Return whether a kernel for GPUs is registered for an operation and its types."""
    if node.op == "Placeholder":  # an argument
        return True
    return any(
        all(node.attr[name].type in types for name, types in constraints.items())
        for constraints in kernels_for_gpus(node.op)
    )


def without_gpu_kernel(traced, batch):
    return {node.op for node in operations(traced, batch) if not has_gpu_kernel(node)}


def enlarged_and_reduced(hr_pixels):
    small = tf.image.resize(hr_pixels, (64, 64), "bicubic")
    return tf.cast(tf.repeat(tf.repeat(small, 2, axis=1), 2, axis=2), tf.uint8)


def through_python(hr_pixels):
    pixels = tf.numpy_function(lambda pixels: pixels, [hr_pixels], tf.uint8)
    return tf.ensure_shape(pixels, hr_pixels.shape)


CHANGES = {enlarged_and_reduced: "ResizeBicubic", through_python: "PyFunc"}


def to_xla(traced, batch):
    """Translate a function for XLA's compiler, which does not run: that takes long."""
    return traced.experimental_get_compiler_ir(*batch)(stage="hlo")


def test_every_operation_has_a_kernel_for_gpus(parts):
    for traced in (parts.traced, parts.trace(parts.validation)):
        assert without_gpu_kernel(traced, parts.batch) == set()


def test_the_whole_step_is_one_program_of_xla(parts):
    program = to_xla(parts.traced, parts.batch)
    assert program.count("convolution(") > 100  # of both networks, there and back
    assert "custom-call" not in program


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("parts", ["float32"], indirect=True)
def test_an_operation_without_such_a_kernel_is_found_and_so_is_what_xla_cannot_compile(
    parts, change
):
    changed = parts.trace(parts.step_of(None, 0.0, change))  # FaceNet is seen above
    assert without_gpu_kernel(changed, parts.batch) == {CHANGES[change]}
    with pytest.raises((tf.errors.OpError, ValueError), match=CHANGES[change]):
        to_xla(changed, parts.batch)
