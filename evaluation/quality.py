"""Further measures of pictures, each of an optional package."""

import importlib.util

import numpy as np

from data import to_pixels
from errors import Mistake

BRISQUE, LPIPS = "brisque", "lpips"
NO_REFERENCE = (BRISQUE,)  # need no HR face
INSTALL = {
    BRISQUE: "pip install brisque",
    LPIPS: "pip install lpips torch torchvision; its weights are downloaded when it first runs",
}


def find_measures(names):
    """Return {name: function from (faces, hr_faces) to float (N,)}, see `metrics.measure`.

    Args:
        names: among "brisque" (Mittal et al. 2012: needs no HR face, less is better) and "lpips"
            (Zhang et al. 2018: distance from the HR face, less is better).

    Raises:
        Mistake: a package is not installed, or cannot be used.
    """
    found = {}
    for name in names:
        try:
            if importlib.util.find_spec(name) is None:
                raise ImportError("it is not installed")
            found[name] = {BRISQUE: _brisque, LPIPS: _lpips}[name]()
        except Exception as error:  # packages fail in many ways
            reason = " ".join(str(error).split())[:200]
            raise Mistake(f"QUALITY cannot use {name} ({reason}): {INSTALL[name]}") from error
    return found


def _brisque():
    import brisque

    model = brisque.BRISQUE(url=False)
    scale = model.scale_features
    # Version 0.2.0 takes arrays of one number for numbers, which NumPy no longer does.
    model.scale_features = lambda features: scale([np.ravel(feature)[0] for feature in features])

    def score(face):
        with np.errstate(all="ignore"):
            return model.score(face) if np.ptp(face) else np.nan

    def measure(faces, hr_faces):
        return np.array([score(face) for face in to_pixels(faces).numpy()])

    measure(np.linspace(-1, 1, 64 * 64 * 3, dtype=np.float32).reshape(1, 64, 64, 3), None)
    return measure


def _lpips():
    import lpips
    import torch

    network = lpips.LPIPS(net="alex", verbose=False).eval()

    def measure(faces, hr_faces):
        a, b = (
            torch.from_numpy(np.asarray(x).transpose(0, 3, 1, 2).copy()) for x in (faces, hr_faces)
        )
        with torch.no_grad():
            return network(a, b).numpy().ravel()

    return measure
