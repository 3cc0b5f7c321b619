"""Many devices: one process per machine, and in it one replica of the networks per device.

Every replica computes its part of each batch. Batch norm is taken over the whole batch and the
gradients are averaged before the update, so that all replicas stay alike and learn what one
device with the same batch would. One process, the chief, writes the output.
"""

from hardware.convolutions import with_fast_convolutions

import contextlib
import contextvars
import json
import os
import re
import zlib

import keras
import tensorflow as tf
from keras import layers

from errors import Mistake

TF_CONFIG_FORM = (
    '{"cluster": {"worker": ["host0:port", "host1:port"]}, "task": {"type": "worker", "index": 0}}'
)
# What TensorFlow raises where a worker that the others wait for does not answer any more.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)


MAY_USE_XLA = contextvars.ContextVar("MAY_USE_XLA", default=True)  # while a step is traced


class Devices:
    """All devices that train together, or the only one.

    Attributes:
        worker: place of this process among those of TF_CONFIG; 0 without TF_CONFIG.
        workers: number of processes.
        replicas: number of devices of all workers.
        is_chief: whether this process writes the output.
        description: line for the user about how the devices share the work; empty for one.
    """

    def __init__(self, batch_size, precision, xla="auto"):
        """Find the devices; with TF_CONFIG, wait until every worker is there.

        To be called before TensorFlow computes anything, and before SIGTERM is given a handler:
        TensorFlow takes it over while workers connect.

        Args:
            batch_size: faces per step, of all replicas together.
            precision: what `hardware.precision.use_hardware` chose.
            xla: whether the whole step becomes one XLA program; "auto" for on one GPU.

        Raises:
            Mistake: TF_CONFIG is malformed or its port is taken, or `batch_size` cannot be divided
                among its workers.
        """
        self._precision = precision
        self.worker, self.workers = read_tf_config()
        self.is_chief = self.worker == 0
        self._strategy = self._choose_strategy(batch_size, precision)
        self.replicas = self._strategy.num_replicas_in_sync
        on_gpu = bool(tf.config.list_physical_devices("GPU"))
        self._whole_step = self.replicas == 1 and (on_gpu if xla == "auto" else xla)
        self._batch_size = batch_size
        self._xla = xla
        self._gather = tf.function(
            lambda row: self._strategy.gather(self._strategy.run(tf.identity, args=(row,)), axis=0)
        )
        self._faces = batch_size // self.replicas
        self.description = ""
        if self.replicas == 1:
            return
        if batch_size % self.replicas:
            raise Mistake(
                f"BATCH_SIZE is shared out among {self.replicas} devices, so it must be a "
                f"multiple of {self.replicas}, not {batch_size}"
            )
        self.description = f", {self.replicas} devices with {self._faces} faces of a step each"
        if self.workers > 1:
            self.description += f"; worker {self.worker} of {self.workers}"
            self.description += ", the chief" if self.is_chief else ", the chief writes the output"

    def _choose_strategy(self, batch_size, precision):
        if self.workers > 1:
            if precision == "float16":
                raise Mistake(
                    "float16 does not work on several devices: set PRECISION to 'float32', or to "
                    "'bfloat16' where the devices compute it"
                )
            print(f"Worker {self.worker} of {self.workers}, waiting for the others", flush=True)
            try:
                return tf.distribute.MultiWorkerMirroredStrategy()
            except (tf.errors.OpError, RuntimeError, ValueError) as error:
                raise Mistake(f"cannot connect as TF_CONFIG says: {_line(error)}") from error
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        count, reason = how_many(len(devices), batch_size, precision)
        if count < len(devices):
            print(f"{len(devices)} devices, of which {count} will train: {reason}", flush=True)
        if count > 1:
            return tf.distribute.MirroredStrategy([device.name for device in devices[:count]])
        return tf.distribute.get_strategy()  # changes nothing

    @contextlib.contextmanager
    def scope(self):
        """Create variables in this context, so that every device has them."""
        with _lost_workers_named(), self._strategy.scope():
            yield

    def fit(self, unet):
        """Return a U-Net that computes the same, fit for these devices; to be called in `scope`."""
        if self.replicas > 1:
            unet = _synchronised(unet)
        return unet if tf.config.list_physical_devices("GPU") else with_fast_convolutions(unet)

    def build(self, optimizer, unet):
        """Return an optimizer that is ready to update a U-Net, scaling losses for float16."""
        if self._precision == "float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(unet.trainable_variables)
        return optimizer

    def distribute(self, step):
        """Compile a training step for all devices.

        Args:
            step: function from tensors whose first axis is the batch to {name: scalar}.

        Returns:
            Function from this worker's part of the batch to the means over the whole batch, still
            on the device, see `fetch`. It raises Mistake if another worker is lost.
        """
        if self.replicas == 1:
            compiled = tf.function(self._with_xla(step), jit_compile=self._whole_step or None)
            return self._explained(compiled)

        def step_of_replica(*batch):
            replica = tf.distribute.get_replica_context()
            first = replica.replica_id_in_sync_group % (self.replicas // self.workers) * self._faces
            values = self._with_xla(step)(*(x[first : first + self._faces] for x in batch))
            means = replica.all_reduce(tf.distribute.ReduceOp.MEAN, tf.stack([*values.values()]))
            return dict(zip(values, tf.unstack(means), strict=True))

        compiled = tf.function(lambda *batch: self._strategy.run(step_of_replica, args=batch))

        def step_of_worker(*batch):
            with _lost_workers_named():
                values = self._explained(compiled)(*batch)
            return {
                name: self._strategy.experimental_local_results(value)[0]
                for name, value in values.items()
            }

        return step_of_worker

    def _with_xla(self, step):
        """Return a step that is traced with XLA where the user allows it."""

        def traced(*batch):
            before = MAY_USE_XLA.set(self._xla is not False)
            try:
                return step(*batch)
            finally:
                MAY_USE_XLA.reset(before)

        return traced

    def _explained(self, compiled):
        """Return a function that says what a user can do about an error of the hardware."""

        def run(*batch):
            try:
                return compiled(*batch)
            except tf.errors.ResourceExhaustedError as error:
                raise Mistake(
                    f"the memory of the device is full ({_line(error)}): lower BATCH_SIZE, which "
                    f"is {self._batch_size}; what is saved stays usable with "
                    "CONTINUE_WITH_CHANGES = True"
                ) from error
            except (tf.errors.InternalError, tf.errors.UnimplementedError) as error:
                if self._xla is False or not re.search("xla|libdevice|compil", str(error), re.I):
                    raise
                raise Mistake(
                    f"XLA cannot compile for this device ({_line(error)}): set XLA = False"
                ) from error

        return run

    def fetch(self, values):
        """Return {name: scalar tensor}, or a list of such, with floats; it waits for their steps.

        Raises:
            Mistake: another worker was lost.
        """
        with _lost_workers_named():
            return keras.tree.map_structure(float, values)

    def share_signal(self, number):
        """Return the number of a signal that this worker or, if none, another one received.

        All workers have to call this at the same step; each waits for the others.

        Args:
            number: of the signal that this process received, 0 for none.
        """
        if self.workers == 1:
            return number
        numbers = self._of_all_workers([number])[:, 0]
        return number or int(numbers.max())

    def check_alike(self, facts):
        """Raise Mistake unless every worker knows the same facts; wait for all of them.

        Args:
            facts: JSON-serialisable dict with the same keys on all workers.
        """
        if self.workers == 1:
            return
        names = sorted(facts)
        # 24 bits are whole numbers in float32, which every device can send.
        digests = [zlib.crc32(json.dumps(facts[name]).encode()) & 0xFFFFFF for name in names]
        for worker, others in enumerate(self._of_all_workers(digests)):
            differing = [name for name, a, b in zip(names, others, digests, strict=True) if a != b]
            if differing:
                raise Mistake(
                    f"workers {self.worker} and {worker} differ in {', '.join(differing)}: all "
                    "need the same constants and faces, and one OUTPUT_DIR that they share"
                )

    def _of_all_workers(self, numbers):
        """Return the numbers of all workers, float32 (workers, N)."""
        with _lost_workers_named():
            row = tf.constant([numbers], tf.float32)
            rows = self._gather(row).numpy()
        return rows[:: self.replicas // self.workers]


def scale_loss(optimizer, loss):
    """Return what to differentiate for a loss: scaled for float16, shared out among replicas."""
    # Keras adds up the gradients of all replicas; what is wanted is their mean.
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return optimizer.scale_loss(loss) / replicas


def apply_gradients(optimizer, gradients, variables):
    """Update variables inside a compiled step, by gradients of `scale_loss`."""

    def update(gradients):
        optimizer.apply(gradients, variables)

    if (
        MAY_USE_XLA.get() and not tf.distribute.has_strategy()
    ):  # XLA cannot compile where replicas meet
        # XLA fuses Adam's many passes over 48.7 million parameters into one.
        update = tf.function(update, jit_compile=True)
    update(gradients)


def how_many(available, batch_size, precision):
    """Return how many devices of one machine can share a step, and why not more.

    Args:
        available: number of devices.
        batch_size: faces per step.
        precision: what `hardware.precision.use_hardware` chose.
    """
    if precision == "float16":  # whose losses Keras cannot scale on many devices
        return 1, "float16 works on one alone; PRECISION = 'float32' uses them all"
    count = max(n for n in range(1, available + 1) if batch_size % n == 0)
    return count, f"BATCH_SIZE {batch_size} is a multiple of {count}"


def read_tf_config():
    """Return (place of this worker, number of workers) as TF_CONFIG says, (0, 1) without it.

    Raises:
        Mistake: TF_CONFIG is not what TensorFlow needs.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return 0, 1
    try:
        config = json.loads(text)
        places = []
        for job in ("chief", "worker"):
            for index, address in enumerate(config["cluster"].get(job, [])):
                if not re.fullmatch(r".+:\d+", address):
                    raise ValueError(f"{address!r} is not host:port")
                places.append((job, index))
        task = config["task"]
        return places.index((task["type"], task["index"])), len(places)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Mistake(
            f"the environment variable TF_CONFIG must have the form {TF_CONFIG_FORM}, with a task "
            f"of the cluster; {text!r} has not ({type(error).__name__}: {error})"
        ) from error


class _Dropout(layers.Dropout):
    """Dropout with other masks on every replica: Keras would draw the same on all."""

    def call(self, inputs, training=False):
        if not training or self.rate == 0:
            return inputs
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        seed = tf.random.fold_in(self.seed_generator.next(), replica)
        return tf.nn.experimental.stateless_dropout(inputs, self.rate, seed)


def _synchronised(network):
    """Copy a network so that its batch norm is taken over all replicas."""

    def copy(layer):
        config = layer.get_config()
        kind = type(layer)
        if kind is layers.BatchNormalization:
            config["synchronized"] = True
        return (_Dropout if kind is layers.Dropout else kind).from_config(config)

    copied = keras.models.clone_model(network, clone_function=copy)
    copied.set_weights(network.get_weights())
    return copied


@contextlib.contextmanager
def _lost_workers_named():
    try:
        yield
    except LOST as error:
        raise Mistake(
            f"another worker was lost ({_line(error)}), so this one ends, too; the same command on "
            "all workers goes on from the last checkpoint"
        ) from error


def _line(error):
    """Return the line of an error of TensorFlow that says the most, without names of its graph."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    line = next((line for line in lines if "aborted by: " in line), lines[0])
    return line.split("aborted by: ")[-1]
