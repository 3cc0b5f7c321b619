"""The one error of this package."""


class WeightsError(ValueError):
    """A weight file that is missing, damaged or not a FaceNet, or an unknown input name."""
