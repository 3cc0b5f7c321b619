"""The errors of this package."""

from errors import Mistake


class WeightsError(Mistake):
    """A weight file that is missing, damaged or not a FaceNet, or an unknown input name."""


class BuildError(WeightsError):
    """The network cannot be built on this machine, whatever the file."""
