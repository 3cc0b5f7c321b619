"""OpenCV, imported from here: where it cannot be, the process ends in one line with the cure."""

import sys
from pathlib import Path

try:
    import cv2
except ImportError as error:
    sys.exit(
        f"{Path(sys.argv[0]).name}: OpenCV cannot be imported ({error}). On systems without "
        "graphics, either install what it lacks (Debian and Ubuntu: apt-get install libgl1 "
        "libglib2.0-0), or run: pip uninstall --yes opencv-python; pip install "
        "opencv-python-headless"
    )

__all__ = ["cv2"]
