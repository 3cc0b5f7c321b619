import json

import keras
import numpy as np
import pytest
from keras import layers

from training.batch_norm import NormStatistics


def network(momentum=0.99):
    inputs = keras.Input((1,))
    return keras.Model(inputs, layers.BatchNormalization(momentum=momentum)(inputs))


def statistics(net):
    return [float(w[0]) for w in (net.layers[1].moving_mean, net.layers[1].moving_variance)]


def test_statistics_are_those_of_the_steps_alone():
    # Mean 5 and variance 4 in every batch: nothing of the initial 0 and 1 is left.
    net, batch = network(), np.array([[3.0], [7.0]], np.float32)
    norms = NormStatistics(net)
    for steps in (1, 2, 3):
        net(batch, training=True)
        raw = statistics(net)
        with norms.settled(steps):
            assert statistics(net) == pytest.approx([5.0, 4.0], rel=1e-4)
        assert statistics(net) == raw  # training goes on with what it had
    assert raw == pytest.approx([5.0 * (1 - 0.99**3), 1 + 3.0 * (1 - 0.99**3)], rel=1e-4)


def test_later_steps_weigh_more_as_in_a_moving_average():
    net = network(momentum=0.5)
    norms = NormStatistics(net)
    for mean in (0.0, 8.0):
        net(np.array([[mean - 1], [mean + 1]], np.float32), training=True)
    with norms.settled(2):
        assert statistics(net)[0] == pytest.approx((0.5 * 0.0 + 1.0 * 8.0) / 1.5)


def test_before_the_first_step_and_after_many_they_are_as_keras_has_them():
    net = network()
    norms = NormStatistics(net)
    with norms.settled(0):
        assert statistics(net) == [0.0, 1.0]
    net.layers[1].moving_mean.assign([2.0])
    with norms.settled(2000):
        assert statistics(net) == [2.0, 1.0]


def test_what_is_trained_from_a_trained_network_forgets_its_statistics_alike():
    net = network()
    net.layers[1].moving_mean.assign([100.0])
    norms = NormStatistics(net)
    net(np.array([[3.0], [7.0]], np.float32), training=True)
    with norms.settled(1):
        assert statistics(net)[0] == pytest.approx(5.0, rel=1e-3)
    assert statistics(net)[0] == pytest.approx(99.05)


def test_what_they_started_from_can_be_handed_to_another_process():
    net = network()
    net.layers[1].moving_mean.assign([0.1])
    first = json.loads(json.dumps(NormStatistics(net).first))
    net(np.array([[3.0], [7.0]], np.float32), training=True)
    norms = NormStatistics(net)
    norms.first = first
    with norms.settled(1):
        assert statistics(net)[0] == pytest.approx(5.0, rel=1e-4)


def test_an_error_in_use_does_not_change_what_is_trained():
    net = network()
    norms = NormStatistics(net)
    net(np.array([[3.0], [7.0]], np.float32), training=True)
    raw = statistics(net)
    with pytest.raises(KeyError), norms.settled(1):
        raise KeyError
    assert statistics(net) == raw
