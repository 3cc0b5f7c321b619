import types

import numpy as np
import pytest

from data import Degradation
from evaluation.measuring import FROM_EACH, FROM_HR, Judges, judge, measure_faces
from evaluation.pairs import Pairs
from evaluation.recognisers import Recogniser
from metrics import BICUBIC, HR, SR, PerFace

SIZE = (8, 8)


def pairs(first, second, same=(True, False) * 2, folds=(0, 0, 1, 1)):
    return Pairs(*(np.array(x) for x in (first, second, same, folds)))


def version(embeddings, psnr=20.0):
    """A version of faces of which only the embeddings matter, under the recogniser r."""
    zeros = np.zeros(len(embeddings))
    return PerFace(zeros + psnr, zeros + 0.5, np.zeros((len(zeros), 3)), zeros, {"r": embeddings})


def outcomes(hr_embeddings, probes, identities, judged=None):
    versions = {HR: version(np.array(hr_embeddings)), (SIZE, SR): version(np.array(probes))}
    judged = judged or pairs([0, 1, 2, 3], [1, 2, 3, 0])
    return judge(versions, ["r"], np.array(identities), judged)


def restorer(sizes, change, side=32):
    """Stand for a network that adds something to every face."""
    return types.SimpleNamespace(
        degradation=Degradation(side, sizes), super_resolve=lambda lr_faces, _: lr_faces + change
    )


def mean_and_one(faces):
    return np.stack([faces.mean((1, 2, 3)), np.ones(len(faces))], 1)


def test_measures_by_hand():
    pixels = np.full((3, 32, 32, 3), 100, np.uint8)
    pixels[1] = 200
    # Embeds a face by its mean colour and a constant.
    recogniser = Recogniser("mean", lambda faces, _: mean_and_one(faces), centred=True)
    warmer = np.array([10.0, 0.0, -5.0], np.float32) / 127.5
    versions = measure_faces(pixels, [SIZE], restorer([SIZE], warmer), Judges([recogniser]))
    bicubic, sr, hr = versions[SIZE, BICUBIC], versions[SIZE, SR], versions[HR]
    np.testing.assert_allclose(np.mean(bicubic.shift, 0), 0.0, atol=1e-3)
    np.testing.assert_allclose(np.mean(sr.shift, 0), [10, 0, -5], atol=1e-3)
    # 15 levels of absolute error in three channels.
    np.testing.assert_allclose(sr.pixel * 127.5, 5.0, atol=1e-3)
    embeddings = hr.embeddings["mean"]
    np.testing.assert_allclose(embeddings[:, 0] * 127.5, [-100 / 3, 200 / 3, -100 / 3], atol=1e-3)
    np.testing.assert_allclose(embeddings[:, 1], 0.0)
    # The gallery's faces are HR, the probes lie 5/3 levels higher: the signs stay, the cosines 1.
    judged = pairs([0, 0] * 2, [2, 1] * 2)
    judgement = judge(versions, ["mean"], np.zeros(3), judged)["mean", (SIZE, SR)].judgements
    np.testing.assert_allclose(judgement["HR-LR"].scores, [1.0, -1.0] * 2, atol=1e-6)


def test_hr_lr_pairs_take_the_first_face_from_the_gallery():
    judged = pairs([0] * 4, [1] * 4)
    found = outcomes([[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 2.0]], list("ab"), judged)
    judgements = found["r", (SIZE, SR)].judgements
    assert judgements["HR-LR"].scores == pytest.approx([0.0] * 4)
    assert judgements["LR-LR"].scores == pytest.approx([1.0] * 4)


def test_probes_are_identified_in_the_hr_gallery():
    # The second face of person 0 looks like person 1. The other way round all were right.
    hr_embeddings = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    probes = [[1.0, 0.0], [0.0, 1.0], [-0.1, 1.0], [-0.1, 1.0]]
    found = outcomes(hr_embeddings, probes, [0, 0, 1, 1])
    assert found["r", HR].ranks.tolist() == [1, 1, 1, 1]
    assert found["r", (SIZE, SR)].ranks.tolist() == [1, 2, 1, 1]
    assert found["r", (SIZE, SR)].of_faces["rank1"].tolist() == [100, 0, 100, 100]


@pytest.mark.parametrize(("landmarks", "times"), [(FROM_HR, 1), (FROM_EACH, 5)])
def test_landmarks_are_found_once_or_in_each_version(landmarks, times):
    # Two recognisers want the same landmarks: the mean of a face, which SR changes.
    located, seen = [], {"a": [], "b": []}

    def locate(faces):
        located.append(len(faces))
        return faces.mean((1, 2, 3))

    def embed(name):
        return lambda faces, marks: (seen[name].append(marks[0]), mean_and_one(faces))[1]

    judges = Judges([Recogniser(name, embed(name), locate) for name in seen], landmarks)
    pixels = np.full((2, 16, 16, 3), 100, np.uint8)
    sizes = [SIZE, (4, 4)]
    measure_faces(pixels, sizes, restorer(sizes, 0.1, 16), judges)
    assert len(located) == times * (1 if landmarks == FROM_HR else 2)
    changes = np.array(seen["a"]) - seen["a"][0]
    moved = [0, 0, 0.1, 0, 0.1] if landmarks == FROM_EACH else [0] * 5
    np.testing.assert_allclose(changes, moved, atol=1e-6)
    assert seen["a"] == seen["b"]
    assert judges.times.startswith("time: a ")
