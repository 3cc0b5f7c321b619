"""The one error of this package."""

from errors import Mistake


class WeightsError(Mistake):
    """A weight file that is missing, damaged or not a FaceNet, or an unknown input name."""
