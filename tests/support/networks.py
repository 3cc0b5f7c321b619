"""Networks that take little time: the U-Net with an eighth of its filters, one FaceNet for all.

What imports TensorFlow is imported late: the process that only hands out tests needs none.
"""

import functools


def narrow(table):
    """Return `ENCODER` or `DECODER` of model.py with an eighth of the filters."""
    import model

    return tuple(
        (max(model.LEAST_FILTERS, filters // 8), option)
        for filters, option in getattr(model, table)
    )


def narrow_unet(monkeypatch, seed=0):
    """Build the narrow U-Net; until the patch is undone, `build_unet` builds no other."""
    import model

    for table in ("ENCODER", "DECODER"):
        monkeypatch.setattr(model, table, narrow(table))
    return model.build_unet(seed=seed)


@functools.cache
def _facenet(path, input_name):
    from facenet.embedder import FaceNet

    return FaceNet(path, input_name)


def kept_facenet(weights_path=None, input_name="auto"):
    """Return the `FaceNet` of a weight file, built once in a process: it is frozen."""
    from facenet import EMBEDDED_WEIGHTS

    return _facenet(str(weights_path or EMBEDDED_WEIGHTS), input_name)


def keep_facenet(patch, recogniser=kept_facenet):
    """Let commands and judges build no FaceNet, but take `kept_facenet` or another recogniser."""
    import facenet
    from evaluation import recognisers

    for module in (facenet, recognisers):
        patch.setattr(module, "FaceNet", recogniser)
