"""Measure a training step, its parts, the naive step and the hardware's peak, in turns."""

import functools
import math
import statistics
import time
from pathlib import Path

ROUNDS = 5  # times that everything is measured in turn; medians count
BATCHES = 20  # batches that the input alone is measured on
MATRIX_SIZE = 4096  # of the matrix product that stands for the hardware's peak
FACES_DIR = Path(__file__).parents[1] / "samples"


class Trained:
    """What `train.py` trains and what it needs for that, and the batch to train on.

    Attributes:
        precision, device: see `hardware.precision.use_hardware`.
        devices, facenet, unet, optimizer, degradation, batches: as in `train.py`.
        hr_pixels, low_resolutions: one batch.
    """

    def __init__(self, facenet_weights, batch_size, precision, xla="auto"):
        """Build everything.

        Args:
            facenet_weights: path of a weight file.
            batch_size: faces per step.
            precision: as in `train.py`.
            xla: as in `train.py`.
        """
        from hardware.devices import Devices
        from hardware.precision import use_hardware

        import keras

        import train
        from data import Degradation
        from facenet import FaceNet
        from imaging.lists import find_faces
        from model import build_unet
        from training.faces import TrainingFaces

        sizes = train.IMAGE_SIZE, train.LOW_RESOLUTIONS
        options = train.SMALLEST_CROP, train.MIRROR
        self.precision, self.device = use_hardware(precision)
        self.devices = Devices(batch_size, self.precision, xla)
        self.facenet = FaceNet(facenet_weights)
        self.unet = self.devices.fit(build_unet(train.IMAGE_SIZE))
        optimizer = keras.optimizers.Adam(train.LEARNING_RATE, train.ADAM_BETA_1)
        self.optimizer = self.devices.build(optimizer, self.unet)
        self.degradation = Degradation(*sizes, train.ANTIALIAS, train.EIGHT_BITS, train.CONSISTENT)
        self.batches = TrainingFaces(find_faces(FACES_DIR), batch_size, *sizes, *options).batches()
        self.hr_pixels, self.low_resolutions = next(self.batches)

    def step(self):
        """Return a function that does a step on the one batch, compiled as in `train.py`."""
        import train

        def step(*batch):
            parts = self.unet, self.facenet, self.degradation, self.optimizer
            weights = train.PIXEL_WEIGHT, train.EMBEDDING_WEIGHT
            forms = train.UNIT_LENGTH, train.EMBEDDING_PARTS
            return train.train_step(*parts, *batch, *weights, *forms)

        compiled = self.devices.distribute(step)
        return lambda: compiled(self.hr_pixels, self.low_resolutions)


def measure_step(facenet_weights, batch_size, precision):
    """Time one training step, its parts, the naive step and a matrix product.

    Args:
        facenet_weights: path of a weight file.
        batch_size: faces per step.
        precision: as in `train.py`; the naive step computes in float32.

    Returns:
        {"seconds": {name: median}, "operations": {name: floating-point operations}, "precision",
        "device", "versions"}.
    """
    from hardware.precision import use_hardware

    import keras
    import tensorflow as tf

    import train
    from facenet import FaceNet
    from model import build_unet

    use_hardware("float32")
    naive_facenet = FaceNet(facenet_weights)
    naive_unet = build_unet(train.IMAGE_SIZE)
    naive_optimizer = keras.optimizers.Adam(train.LEARNING_RATE, train.ADAM_BETA_1)
    naive_optimizer.build(naive_unet.trainable_variables)
    trained = Trained(facenet_weights, batch_size, precision)
    hr_faces, lr_faces = faces_of(trained)
    naive = functools.partial(
        naive_step, naive_unet, naive_facenet, naive_optimizer, lr_faces, hr_faces
    )
    tasks = {
        "matrix product": matrix_product(),
        "naive": functools.partial(naive, tf.function(naive_update)),
        "naive, uncompiled": functools.partial(naive, naive_update),
        "step": trained.step(),
        **parts_of_step(trained, hr_faces, lr_faces),
    }
    medians = in_turns(tasks)
    medians["input"] /= BATCHES
    return {
        "seconds": medians,
        "operations": count_operations(trained.unet, trained.facenet.network, batch_size),
        "precision": trained.precision,
        "device": trained.device,
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
    }


def faces_of(trained):
    """Return (hr_faces, lr_faces) of the batch of `Trained`."""
    from data import to_faces

    hr_faces = to_faces(trained.hr_pixels)
    return hr_faces, trained.degradation(hr_faces, trained.low_resolutions)


def parts_of_step(trained, hr_faces, lr_faces):
    """Return {name of a part of the step: function that computes it}."""
    import tensorflow as tf

    import losses
    from data import to_faces

    unet, sizes = trained.unet, trained.low_resolutions
    variables = unet.trainable_variables
    gradients = [tf.random.normal(variable.shape, stddev=1e-3) for variable in variables]

    def unet_backward():
        with tf.GradientTape() as tape:
            loss = losses.pixel_loss(unet(lr_faces, training=True), hr_faces)
        return tape.gradient(loss, variables)

    def facenet_backward():
        with tf.GradientTape() as tape:
            tape.watch(hr_faces)
            embeddings = trained.facenet(hr_faces)
        return tape.gradient(embeddings, hr_faces)

    def update():
        trained.optimizer.apply(gradients, variables)
        return tf.identity(variables[0])

    def degradation_and_correction():
        hr_faces = to_faces(trained.hr_pixels)
        lr_faces = trained.degradation(hr_faces, sizes)
        return trained.degradation.correct(hr_faces, lr_faces, sizes)

    def take_batches():
        for _ in range(BATCHES):
            batch = next(trained.batches)
        return batch

    return {
        "U-Net forward": tf.function(lambda: unet(lr_faces, training=True)),
        "U-Net forward and backward": tf.function(unet_backward),
        "FaceNet on HR": tf.function(lambda: trained.facenet(hr_faces)),
        "FaceNet on SR, forward and backward": tf.function(facenet_backward),
        "optimiser": tf.function(update, jit_compile=True),
        "degradation and correction": tf.function(degradation_and_correction),
        "input": take_batches,
    }


def matrix_product():
    """Return a function that multiplies two large matrices in the layers' precision."""
    import keras
    import tensorflow as tf

    compute_dtype = keras.config.dtype_policy().compute_dtype
    a, b = (tf.random.normal((MATRIX_SIZE, MATRIX_SIZE)) for _ in range(2))
    a, b = tf.cast(a, compute_dtype), tf.cast(b, compute_dtype)
    # One number of the product is asked for: its 67 MB would take longer to fetch than to compute.
    return tf.function(lambda: tf.matmul(a, b)[0, 0])


def in_turns(tasks, rounds=ROUNDS):
    """Return {name: median seconds} of {name: function}, all of them called in turns.

    What a function returns last is waited for; of a large tensor, one number is fetched.
    """
    import tensorflow as tf

    seconds = {name: [] for name in tasks}
    for round_ in range(rounds + 1):  # the first one compiles
        for name, task in tasks.items():
            started = time.perf_counter()
            last = tf.nest.flatten(task())[-1]
            tf.reshape(last, (-1,))[0].numpy()  # waits for a GPU
            if round_:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def measure_sizes(facenet_weights, batch_sizes, precision):
    """Time the step as one XLA program with several batch sizes.

    Args:
        facenet_weights: path of a weight file.
        batch_sizes: list of faces per step.
        precision: as in `train.py`.

    Returns:
        {"images/s": {batch size: rate}, "of peak": {batch size: fraction}}; of a size that does
        not fit into memory, nothing.
    """
    from errors import Mistake

    result = {"images/s": {}, "of peak": {}}
    for batch_size in batch_sizes:
        trained = Trained(facenet_weights, batch_size, precision, xla=True)
        tasks = {"step": trained.step(), "matrix product": matrix_product()}
        try:
            seconds = in_turns(tasks, 2 * ROUNDS)
        except Mistake as mistake:
            print(f"{precision}, batch {batch_size}: {mistake}", flush=True)
            continue
        operations = count_operations(trained.unet, trained.facenet.network, batch_size)
        rates = {name: operations[name] / seconds[name] for name in tasks}
        result["images/s"][batch_size] = batch_size / seconds["step"]
        result["of peak"][batch_size] = rates["step"] / rates["matrix product"]
    return result


def naive_step(unet, facenet, optimizer, lr_faces, hr_faces, update):
    """Do what the original code does in a step, for comparison; arguments as of `train_step`.

    Two forward passes of the U-Net, and `predict` for the embeddings, so that the identity loss
    has no gradient; then `update`, which is `naive_update`, compiled as in the original or not.
    """
    import tensorflow as tf

    from facenet.inputs import INPUTS

    def embed(faces):
        faces = tf.image.resize(faces, facenet.network.input_shape[1:3], "bicubic")
        return facenet.network.predict(INPUTS[facenet.input_name](faces), verbose=0)

    sr_embeddings, hr_embeddings = embed(unet(lr_faces, training=True)), embed(hr_faces)
    return update(unet, optimizer, lr_faces, hr_faces, sr_embeddings, hr_embeddings)


def naive_update(unet, optimizer, lr_faces, hr_faces, sr_embeddings, hr_embeddings):
    """Do the second half of `naive_step`; return the loss."""
    import tensorflow as tf

    import losses

    with tf.GradientTape() as tape:
        total = losses.total_loss(
            losses.pixel_loss(unet(lr_faces, training=True), hr_faces),
            losses.embedding_loss(sr_embeddings, hr_embeddings, unit_length=False),
            pixel_weight=5.0,
            embedding_weight=1.0,
        )
    gradients = tape.gradient(total, unet.trainable_variables)
    optimizer.apply_gradients(zip(gradients, unet.trainable_variables, strict=True))
    return total


def count_operations(unet, facenet, batch_size):
    """Count the floating-point operations of a step: convolutions and dense layers, 2 per product.

    Borders are counted as if they were pixels. A layer's backward pass costs a forward pass for
    its weights, which FaceNet has not, and one for its input, which the first layer of the U-Net
    has not.

    Returns:
        {name of the part: operations}.
    """
    from keras import layers

    def forward(layer):
        if isinstance(layer, layers.Conv2DTranspose):
            places = layer.input.shape[1:3]
        elif isinstance(layer, layers.Conv2D):
            places = layer.output.shape[1:3]
        elif isinstance(layer, layers.Dense):
            places = ()
        else:
            return 0
        return 2 * batch_size * math.prod(layer.kernel.shape) * math.prod(places)

    unet_forward = sum(map(forward, unet.layers))
    first = next(filter(None, map(forward, unet.layers)))
    facenet_forward = sum(map(forward, facenet.layers))
    parts = {
        "U-Net forward and backward": 3 * unet_forward - first,
        "FaceNet on HR": facenet_forward,
        "FaceNet on SR, forward and backward": 2 * facenet_forward,
    }
    return {
        **parts,
        "U-Net forward": unet_forward,
        "step": sum(parts.values()),
        "matrix product": 2 * MATRIX_SIZE**3,
    }


def save_random_facenet(width, path):
    """Write the weights of an untrained FaceNet."""
    from facenet.inception_resnet_v1 import build_inception_resnet_v1

    build_inception_resnet_v1(width).save_weights(path)
