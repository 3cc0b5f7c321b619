"""What this machine offers, and the number format that pays on it."""

from hardware import cpu_flags

import contextlib
import os

import keras
import tensorflow as tf
from joblib import cpu_count

from errors import Mistake

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
PRECISIONS = ("auto", *POLICIES)


def use_hardware(precision):
    """Let GPU memory grow as needed and set the number format of layers built from now on.

    What a user's configuration of Keras says of number formats and layouts is overruled.

    Args:
        precision: one of `PRECISIONS`; "auto" stands for the fastest that this machine
            computes natively: bfloat16 on GPUs since Ampere and CPUs with AVX512-BF16 or AMX,
            float16 on one GPU since Volta, else float32. Keras cannot scale the losses that
            float16 needs on several devices.

    Returns:
        (precision, device): the one chosen and a line about the hardware.

    Raises:
        Mistake: this process already uses Keras on another backend.
    """
    if keras.config.backend() != "tensorflow":
        raise Mistake(
            f"Keras already runs on {keras.config.backend()} in this process: start a new one, or "
            "import this command before Keras"
        )
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        # Where TensorFlow was used before, as in a notebook, the memory stays as it is.
        with contextlib.suppress(RuntimeError, ValueError):
            tf.config.experimental.set_memory_growth(gpu, True)
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        device = f"{details.get('device_name', 'GPU')} (GPUs: {len(gpus)})"
        capability = details.get("compute_capability", (0, 0))
        is_alone = len(gpus) == 1 and not os.environ.get("TF_CONFIG")
        if capability >= (8, 0):
            fastest = "bfloat16"
        else:
            fastest = "float16" if capability >= (7, 0) and is_alone else "float32"
    else:
        device = f"CPU, {cpu_count()} cores (TensorFlow finds no GPU)"
        fastest = "bfloat16" if cpu_flags() & {"avx512_bf16", "amx_bf16"} else "float32"
    chosen = fastest if precision == "auto" else precision
    keras.config.set_dtype_policy(POLICIES[chosen])
    return chosen, device


def use_cpu_alone():
    """Hide the GPUs, which may round factors to 10 bits where CPUs do not."""
    try:
        tf.config.set_visible_devices([], "GPU")
    except RuntimeError:  # TensorFlow uses them already, as in a notebook
        tf.config.experimental.enable_tensor_float_32_execution(False)
