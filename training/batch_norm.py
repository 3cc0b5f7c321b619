"""Batch norm's moving statistics without the values that they started from (ours).

After t steps, a moving average of momentum m still holds m^t of its first value: of the initial
variance 1, 0.8 % after 480 steps, several times the true variance of some layers. Training does not
use these averages; whoever uses the network does. So wherever the network is used or saved for
use, they are divided by what they have truly seen, as Adam divides its own.
"""

import contextlib

from keras import layers

FORGOTTEN = 1e-6  # part of the first value from which it no longer counts


class NormStatistics:
    """The moving statistics of a network that is being trained."""

    def __init__(self, network):
        """Remember what the statistics start from; to be called before the first step.

        Args:
            network: `keras.Model`.
        """
        norms = [x for x in network.layers if isinstance(x, layers.BatchNormalization)]
        self._statistics = [
            (variable, variable.numpy(), norm.momentum)
            for norm in norms
            for variable in (norm.moving_mean, norm.moving_variance)
        ]

    @contextlib.contextmanager
    def settled(self, steps):
        """Let the network have statistics of its steps alone inside this context.

        Args:
            steps: training steps since the start, each of which updated the statistics once.
        """
        before = [variable.numpy() for variable, _, _ in self._statistics]
        for (variable, first, momentum), value in zip(self._statistics, before, strict=True):
            rest = momentum**steps
            if FORGOTTEN < rest < 1.0:
                variable.assign((value - rest * first) / (1.0 - rest))
        try:
            yield
        finally:
            for (variable, _, _), value in zip(self._statistics, before, strict=True):
                variable.assign(value)
