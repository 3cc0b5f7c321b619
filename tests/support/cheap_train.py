"""Run train.py of the current folder with a recogniser that costs nothing, on DEVICES devices."""

import os
import runpy
import sys

sys.path.insert(0, os.getcwd())

import hardware  # noqa: F401  # before TensorFlow

import tensorflow as tf

import facenet

tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})  # takes long
if devices := int(os.environ.get("DEVICES", 0)):
    (cpu,) = tf.config.list_physical_devices("CPU")
    one = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [one] * devices)


class Recogniser:
    description = fingerprint = "means of 16 squares"

    def __init__(self, *arguments):
        self.scale = tf.Variable(3.0, trainable=False)

    def __call__(self, faces):
        size = faces.shape[1] // 4
        means = tf.nn.avg_pool2d(faces, size, size, "VALID")
        return self.scale * tf.reshape(means, (-1, 48))


facenet.FaceNet = Recogniser
sys.argv[0] = "train.py"
runpy.run_path("train.py", run_name="__main__")
