"""What the machine offers. Imported first, it sets what TensorFlow and Keras read at their import.

* oneDNN makes float32 convolutions much faster; TensorFlow itself uses it on newer CPUs alone.
* Keras computes with TensorFlow, whatever its configuration file says.
* A notebook hands its drawing backend to the commands that it starts. Where that is not installed,
  Matplotlib cannot be imported, nor can Keras, which imports it.
* TensorFlow is imported here, without the lines about itself that look like errors and are none;
  TF_CPP_MIN_LOG_LEVEL=0 shows all of them.
"""

import contextlib
import importlib.util
import os
import tempfile
from pathlib import Path

NOTES = ("All log messages before absl::InitializeLog()", "oneDNN custom operations are on")
NOTES_WITHOUT_GPU = ("Could not find cuda drivers", "failed call to cuInit")
NVIDIA_DEVICES = ("nvidia*", "nvhost*", "dxg")  # on servers, on Jetsons, under Windows


def cpu_flags():
    """Return the instruction sets of the CPU as Linux names them; empty on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return set(next((line for line in lines if line.startswith("flags")), "").split())


def _may_use_nvidia():
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    return any(next(Path("/dev").glob(name), None) for name in NVIDIA_DEVICES)


@contextlib.contextmanager
def standard_error_without(notes):
    """Hold back what is written to file descriptor 2, then pass on all lines but some.

    Libraries in C++ write there; in a notebook, `sys.stderr` is another file.

    Args:
        notes: texts; a line that holds one of them is dropped.
    """
    try:
        shown, written = os.dup(2), tempfile.TemporaryFile()  # noqa: SIM115
    except OSError:  # no standard error, or no folder for temporary files
        yield
        return
    with written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(shown, 2)
            os.close(shown)
            written.seek(0)
            kept = [x for x in written if not any(note.encode() in x for note in notes)]
            with contextlib.suppress(OSError):  # nobody reads it any more
                os.write(2, b"".join(kept))


def _is_missing(backend):
    module = backend.removeprefix("module://")
    return module != backend and importlib.util.find_spec(module.partition(".")[0]) is None


def _import_tensorflow():
    has_nvidia = _may_use_nvidia()
    notes = NOTES if has_nvidia else NOTES + NOTES_WITHOUT_GPU
    flags = cpu_flags()
    # A CPU that TensorFlow was not built for ends the process: what was held back would be lost.
    ends = bool(flags) and "avx" not in flags
    shows_all = ends or os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
    with contextlib.nullcontext() if shows_all else standard_error_without(notes):
        import tensorflow as tf

        if not has_nvidia:  # it looks only once
            tf.config.list_physical_devices("GPU")


os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
os.environ["KERAS_BACKEND"] = "tensorflow"
if _is_missing(os.environ.get("MPLBACKEND", "")):
    del os.environ["MPLBACKEND"]
_import_tensorflow()
