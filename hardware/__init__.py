"""What the machine offers. Imported first, it sets what TensorFlow and Keras read at their import.

* oneDNN makes float32 convolutions much faster; TensorFlow itself uses it on newer CPUs alone.
* TensorFlow's notes about CPU instructions and a GPU that is not there look like errors and are
  none; its warnings and errors stay.
"""

import os

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
