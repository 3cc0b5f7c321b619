"""Batch norm's moving statistics without the values that they started from (ours).

After t steps, a moving average of momentum m still holds m^t of its first value: of the initial
variance 1, 0.8 % after 480 steps, several times the true variance of some layers. Training does not
use these averages; whoever uses the network does. So wherever the network is used or saved for
use, they are divided by what they have truly seen, as Adam divides its own.
"""

import contextlib

import numpy as np
from keras import layers

FORGOTTEN = 1e-6  # part of the first value from which it no longer counts


class NormStatistics:
    """The moving statistics of a network that is being trained.

    Attributes:
        first: what they started from, a list of lists of floats. It can be set, as training may
            have begun in another process.
    """

    def __init__(self, network):
        """Remember what the statistics start from; to be called before the first step.

        Args:
            network: `keras.Model`.
        """
        norms = [x for x in network.layers if isinstance(x, layers.BatchNormalization)]
        self._statistics = [
            (variable, norm.momentum)
            for norm in norms
            for variable in (norm.moving_mean, norm.moving_variance)
        ]
        self.first = [variable.numpy().tolist() for variable, _ in self._statistics]

    @contextlib.contextmanager
    def settled(self, steps):
        """Let the network have statistics of its steps alone inside this context.

        Args:
            steps: training steps since the start, each of which updated the statistics once.
        """
        before = [variable.numpy() for variable, _ in self._statistics]
        values = zip(self._statistics, self.first, before, strict=True)
        for (variable, momentum), first, value in values:
            rest = momentum**steps
            if FORGOTTEN < rest < 1.0:
                variable.assign((value - rest * np.float32(first)) / (1.0 - rest))
        try:
            yield
        finally:
            for (variable, _), value in zip(self._statistics, before, strict=True):
                variable.assign(value)
