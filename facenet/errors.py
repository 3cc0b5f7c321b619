"""The errors of this package."""


class WeightsError(ValueError):
    """A weight file that is missing, damaged or not a FaceNet, or an unknown input name."""


class BuildError(WeightsError):
    """The network cannot be built on this machine, whatever the file."""
