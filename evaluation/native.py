"""Faces that a camera took small, of whom no HR face exists: the case the network is made for.

Probes are compared with a gallery of HR faces of the same people: as they are, enlarged bicubically
and super-resolved.
"""

import numpy as np

from console.progress import progress
from data import enlarge, to_faces
from errors import Mistake
from evaluation.measuring import FACES_AT_ONCE, Outcome, recognised
from evaluation.pairs import FOLDS, Pairs
from evaluation.verification import HR_LR
from imaging.cropping import squared
from imaging.opencv import cv2
from metrics import BATCH_SIZE, BICUBIC, SR, ranks_in_gallery

NATIVE, AS_IT_IS, GALLERY = "native", "as it is", "gallery"


def measure_probes(pictures, gallery, restorer, judges, further=None):
    """Embed the gallery once and every probe once per method.

    Args:
        pictures: list of uint8 RGB (H, W, 3), each of its own size.
        gallery: uint8 (M, S, S, 3).
        restorer: `Restorer` at `sizes_of` the pictures.
        judges: `Judges`.
        further: see `metrics.measure`; those that need no HR face.

    Returns:
        {key: {recogniser: embeddings (N, E)}}, {key: {name: float (N,)}} of further measures; keys
        are GALLERY and (NATIVE, AS_IT_IS), (NATIVE, BICUBIC), (NATIVE, SR).
        As it is means resized linearly, as recognisers do with whatever they are given.
    """
    size = gallery.shape[1]
    embedders = judges.embedders(None)
    parts, of_pictures = {GALLERY: []}, {GALLERY: []}
    with progress(len(gallery) + 3 * len(pictures), "face") as bar:

        def embed(key, faces):
            embedded = {name: embed(faces) for name, embed in embedders.items()}
            parts.setdefault(key, []).append(embedded)
            measured = {name: of(faces, None) for name, of in (further or {}).items()}
            of_pictures.setdefault(key, []).append(measured)
            bar.update(len(faces))

        for start in range(0, len(gallery), FACES_AT_ONCE):
            embed(GALLERY, to_faces(gallery[start : start + FACES_AT_ONCE]).numpy())
        for start in range(0, len(pictures), FACES_AT_ONCE):
            some = pictures[start : start + FACES_AT_ONCE]
            lr_faces = np.concatenate([enlarge(picture[None], size) for picture in some])
            plain = np.stack([_resized(picture, size) for picture in some])
            embed((NATIVE, AS_IT_IS), to_faces(plain).numpy())
            embed((NATIVE, BICUBIC), lr_faces)
            embed((NATIVE, SR), _super_resolved(restorer, lr_faces, sizes_of(some, size)))
    versions = _joined(parts)
    judges.centre(versions, GALLERY)
    return versions, _joined(of_pictures)


def _joined(parts):
    """Return {key: {name: array}} from {key: list of {name: array}}."""
    return {
        key: {name: np.concatenate([part[name] for part in of_key]) for name in of_key[0]}
        for key, of_key in parts.items()
    }


def sizes_of(pictures, size):
    """Return the low resolution (side, side) of each picture as `enlarge` pads it, at most `size`.

    Args:
        pictures: iterable of uint8 RGB (H, W, 3).
        size: height and width of the network's faces in pixels.
    """
    return [(min(size, max(picture.shape[:2])),) * 2 for picture in pictures]


def _super_resolved(restorer, lr_faces, sizes):
    starts = range(0, len(lr_faces), BATCH_SIZE)
    batches = ((lr_faces[i : i + BATCH_SIZE], np.int32(sizes[i : i + BATCH_SIZE])) for i in starts)
    return np.concatenate([restorer.super_resolve(*batch) for batch in batches])


def _resized(picture, size):
    """Return a picture, padded to a square as `enlarge` pads it, at another size."""
    square = squared(picture)
    interpolation = cv2.INTER_AREA if len(square) > size else cv2.INTER_LINEAR
    return cv2.resize(square, (size, size), interpolation=interpolation)


def judge_probes(versions, of_pictures, recognisers, identities, gallery_identities, pairs):
    """Judge every version once: identification in the gallery, and verification.

    Args:
        versions: see `measure_probes`, as for `of_pictures`.
        of_pictures: further measures.
        recognisers: names.
        identities: array of N folder names of the probes.
        gallery_identities: array of M folder names of the gallery.
        pairs: `Pairs` of a place in the gallery and one among the probes, or None.

    Returns:
        {(recogniser, key of the version): `Outcome`}.
    """
    outcomes = {}
    for name in recognisers:
        gallery = versions[GALLERY][name]
        for key, embeddings in ((k, v[name]) for k, v in versions.items() if k != GALLERY):
            ranks = ranks_in_gallery(embeddings, identities, gallery, gallery_identities)
            judgements = {}
            if pairs is not None:
                judgements[HR_LR] = pairs.judge(pairs.scores(gallery, embeddings))
            of_faces = {**of_pictures.get(key, {}), "rank1": recognised(ranks)}
            outcomes[name, key] = Outcome(of_faces, ranks, judgements)
    return outcomes


def draw_across(gallery_identities, identities, count, seed):
    """Draw `Pairs` of a face of the gallery and a probe, half of them genuine, in folds.

    Args:
        gallery_identities: array of M labels.
        identities: array of N labels.
        count: number of pairs wanted; fewer if there are not so many genuine ones.
        seed: integer at least 0; the same seed, the same pairs.

    Raises:
        Mistake: fewer pairs of a kind than folds.
    """
    rng = np.random.default_rng(seed)
    in_gallery = {}
    for i, identity in enumerate(gallery_identities):
        in_gallery.setdefault(identity, []).append(i)
    genuine = [(i, j) for j, who in enumerate(identities) for i in in_gallery.get(who, ())]
    impostor_count = len(gallery_identities) * len(identities) - len(genuine)
    each = min(count // 2, len(genuine), impostor_count)
    if each < FOLDS:
        raise Mistake(
            f"{len(genuine)} pairs of a probe and a gallery face show the same person and "
            f"{impostor_count} different people, {FOLDS} of each are needed: folders of the same "
            "person must be called alike in GALLERY_DIR and PROBE_DIR"
        )
    chosen = [genuine[k] for k in rng.permutation(len(genuine))[:each]]
    impostors = {}  # as a set, but in order
    while len(impostors) < each:
        i, j = int(rng.integers(len(gallery_identities))), int(rng.integers(len(identities)))
        if gallery_identities[i] != identities[j]:
            impostors[i, j] = None
    first, second = np.array([*chosen, *impostors]).T
    numbers = np.arange(2 * each)
    return Pairs(first, second, numbers < each, numbers % FOLDS)
