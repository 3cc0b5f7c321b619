"""The two things that can be measured: HR faces that are degraded, and faces that came small."""

import functools
from pathlib import Path

import numpy as np

from errors import Mistake
from evaluation.curves import draw_worst, find_worst
from evaluation.faces import (
    central,
    choose_pairs,
    choose_sizes,
    faces_folder,
    identity_in,
    list_faces,
    load_faces,
    names_below,
    read_pictures,
    tell_people_trained_on,
)
from evaluation.groups import choose_groups, group_rows
from evaluation.intervals import People
from evaluation.measuring import FROM_HR, judge, measure_faces
from evaluation.native import draw_across, judge_probes, measure_probes, sizes_of
from evaluation.pairs import Pairs
from evaluation.quality import NO_REFERENCE, find_measures
from evaluation.restoring import Restorer
from evaluation.tables import Results


def measure_degraded(chosen, trained, network, judges, problems):
    """Degrade HR faces, restore them, and compare with bicubic enlargement and HR.

    Args:
        chosen: constants of `evaluate.py`.
        trained: (run's folder, constants of the training, what they resolved to).
        network: `keras.Model` from lr_faces to sr_faces.
        judges: `Judges`.
        problems: `Problems`.

    Returns:
        `Results`.

    Raises:
        Mistake: faces or pairs are missing or cannot be used.
    """
    _, training, recipe = trained
    sizes = choose_sizes(chosen.SIZES, training)
    restorer = Restorer(network, sizes, training)
    further = find_measures(chosen.QUALITY)
    listed, paths, identity = choose_pairs(chosen, training, recipe, problems)
    faces = load_faces(paths, training["IMAGE_SIZE"], chosen.CENTRAL_CROP, problems, identity)
    pairs = Pairs.among(listed, faces.index, chosen.PAIRS, problems) if listed else None
    people_of_faces = dict(zip(faces.paths, faces.folders, strict=True))
    tell_people_trained_on(people_of_faces, *trained, problems)
    folder = faces_folder(chosen.FACES_DIR, training)
    groups = choose_groups(chosen.GROUPS, folder, chosen.GROUP_COLUMNS, problems)
    known = len(set(faces.identities)) > 1
    people = People(faces.identities if known else np.arange(len(faces)))
    conditions = [
        f"{faces.description}, {pairs.description if pairs else 'no pairs'}",
        f"landmarks from {'the HR face' if chosen.LANDMARKS == FROM_HR else 'each version itself'}",
        people.described("people" if known else "faces, as people are not known"),
    ]
    print("Faces   ", conditions[0])
    versions = measure_faces(faces.pixels, sizes, restorer, judges, further)
    if flat := int(np.isnan(next(v.psnr for v in versions.values() if v.psnr is not None)).sum()):
        problems.note(f"{flat} faces are of a single colour: they have no PSNR and SSIM")
    outcomes = judge(versions, judges.names, faces.identities, pairs)
    # The judge of groups and pictures is the last unseen recogniser, if there is one.
    last = judges.names[-1]
    by_group = group_rows(outcomes, last, faces.identities, groups, people)
    if groups and not by_group:
        problems.note("no results by group: nobody here is in a group, or SIZES are large")
    worst = find_worst(outcomes, pairs, last) if pairs else []
    return Results(
        conditions,
        outcomes,
        people,
        pairs,
        people.of_pairs(pairs) if pairs else None,
        (names_below(folder, faces.paths),) * 2,
        by_group,
        functools.partial(
            draw_worst, cases=worst, pairs=pairs, pixels=faces.pixels, restore=restorer.pictures
        ),
    )


def measure_native(chosen, trained, network, judges, problems):
    """Identify and verify pictures that were small from the start; same arguments."""
    if None in (chosen.PROBE_DIR, chosen.GALLERY_DIR) or chosen.PAIRS is not None:
        raise Mistake(
            "PROBE_DIR and GALLERY_DIR, HR faces of the same people, go together, without PAIRS"
        )
    size, pairs_wanted = trained[1]["IMAGE_SIZE"], chosen.DRAWN_PAIRS
    who, who_in_gallery = (
        identity_in(Path(folder), chosen.IDENTITY_LEVEL)
        for folder in (chosen.PROBE_DIR, chosen.GALLERY_DIR)
    )
    found = _read_probes(chosen, problems)
    in_gallery = list(list_faces(chosen.GALLERY_DIR))
    gallery = load_faces(in_gallery, size, chosen.CENTRAL_CROP, problems, who_in_gallery)
    people_of_probes = {path: who(path) for path in found}
    identities, gallery_identities = (
        np.array([folder.name for folder in folders])
        for folders in (people_of_probes.values(), gallery.folders)
    )
    if absent := set(identities) - set(gallery_identities):
        problems.note(f"{len(absent)} people of PROBE_DIR are not in GALLERY_DIR")
    tell_people_trained_on(people_of_probes, *trained, problems)
    try:
        pairs = draw_across(gallery_identities, identities, pairs_wanted, chosen.SEED)
    except Mistake as mistake:
        problems.note(f"no verification: {mistake}")
        pairs = None
    if pairs and len(pairs) < pairs_wanted:
        problems.note(f"only {len(pairs)} of {pairs_wanted} pairs could be drawn")
    people = People(identities)
    heights = [picture.shape[0] for picture in found.values()]
    conditions = [
        f"{len(found)} probes of {people.count} people, {min(heights)} to {max(heights)} pixels "
        f"high (median {np.median(heights):g}), gallery of {gallery.description}, "
        f"{pairs.description if pairs else 'no pairs'}",
        "landmarks from each version itself, whatever LANDMARKS says: probes have no HR face",
        f"{people.described()}; who else is in the gallery stays",
    ]
    if chosen.CENTRAL_CROP is not None:
        side = chosen.CENTRAL_CROP
        conditions.append(f"of pictures of more than {side}x{side} pixels, the middle of that size")
    if needing_hr := [name for name in chosen.QUALITY if name not in NO_REFERENCE]:
        conditions.append(f"no {' and '.join(needing_hr)}, which compares with HR faces")
    print("Faces   ", conditions[0])
    restorer = Restorer(network, sizes_of(found.values(), size), trained[1])
    further = find_measures([name for name in chosen.QUALITY if name in NO_REFERENCE])
    measured = measure_probes(list(found.values()), gallery.pixels, restorer, judges, further)
    outcomes = judge_probes(*measured, judges.names, identities, gallery_identities, pairs)
    weights = None
    if pairs:
        weights = people.of_pairs(pairs, people.places_of(gallery_identities))
    images = (
        names_below(chosen.GALLERY_DIR, gallery.paths),
        names_below(chosen.PROBE_DIR, list(found)),
    )
    return Results(conditions, outcomes, people, pairs, weights, images)


def _read_probes(chosen, problems):
    """Return {path: uint8 RGB (H, W, 3)} of all pictures of PROBE_DIR that can be read."""
    found = {
        path: central(picture, chosen.CENTRAL_CROP)
        for path, picture in read_pictures(list(list_faces(chosen.PROBE_DIR)), problems)
    }
    if not found:
        raise Mistake(f"PROBE_DIR: no picture in {chosen.PROBE_DIR} can be read")
    return found
