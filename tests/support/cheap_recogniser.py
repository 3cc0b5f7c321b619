"""A recogniser that costs nothing, for what does not depend on the recogniser."""

import tensorflow as tf


class Recogniser:
    description = fingerprint = "means of 16 squares"

    def __init__(self, *arguments):
        self.scale = tf.Variable(3.0, trainable=False)

    def __call__(self, faces):
        size = faces.shape[1] // 4
        means = tf.nn.avg_pool2d(faces, size, size, "VALID")
        return self.scale * tf.reshape(means, (-1, 48))
