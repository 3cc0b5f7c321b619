"""Run train.py of the current folder with the cheap recogniser, on DEVICES devices."""

import os
import runpy
import sys

sys.path.insert(0, os.getcwd())

import hardware  # noqa: F401  # before TensorFlow

import tensorflow as tf
from cheap_recogniser import Recogniser

import facenet

tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})  # takes long
if devices := int(os.environ.get("DEVICES", 0)):
    (cpu,) = tf.config.list_physical_devices("CPU")
    one = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [one] * devices)

facenet.FaceNet = Recogniser
sys.argv[0] = "train.py"
runpy.run_path("train.py", run_name="__main__")
