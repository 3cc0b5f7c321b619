"""What the machine offers. Imported first, it sets what TensorFlow and Keras read at their import.

* oneDNN makes float32 convolutions much faster; TensorFlow itself uses it on newer CPUs alone.
* TensorFlow's notes about CPU instructions and a GPU that is not there look like errors and are
  none; its warnings and errors stay.
* A notebook hands its drawing backend to the commands that it starts. Where that is not installed,
  Matplotlib cannot be imported, nor can Keras, which imports it.
"""

import importlib.util
import os

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")


def _is_missing(backend):
    module = backend.removeprefix("module://")
    return module != backend and importlib.util.find_spec(module.partition(".")[0]) is None


if _is_missing(os.environ.get("MPLBACKEND", "")):
    del os.environ["MPLBACKEND"]
