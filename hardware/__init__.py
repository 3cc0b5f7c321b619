"""What the machine offers. Imported first, it sets what TensorFlow and Keras read at their import.

* oneDNN makes float32 convolutions much faster; TensorFlow itself uses it on newer CPUs alone.
* Keras computes with TensorFlow, whatever its configuration file says.
* Keras imports Matplotlib. Jupyter tells its child processes to draw with a module of its own,
  which their environment may lack.
* TensorFlow's notes about CPU instructions and a GPU that is not there look like errors and are
  none; its warnings and errors stay.
"""

import importlib.util
import os

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
os.environ["KERAS_BACKEND"] = "tensorflow"
kind, _, module = os.environ.get("MPLBACKEND", "").partition("://")
if kind == "module" and importlib.util.find_spec(module.split(".")[0]) is None:
    del os.environ["MPLBACKEND"]
