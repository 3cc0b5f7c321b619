import shutil

import numpy as np
import pytest
from project import SAMPLES

from errors import Mistake
from evaluation.faces import choose_faces, load_faces
from evaluation.report import Problems
from imaging.lists import find_faces, fingerprint, hold_out_identities
from imaging.pictures import read_pixels


def test_faces_that_may_have_been_trained_on_are_refused(face_folder):
    trained, held_out = hold_out_identities(find_faces(face_folder), 2)
    training = {"TRAIN_DIR": face_folder, "VALIDATION_DIR": None, "HELD_OUT_IDENTITIES": 2}
    recipe = {"training faces": fingerprint(trained)}
    assert choose_faces(None, training, recipe, 96) == sorted(held_out)
    shutil.copytree(face_folder / "n000001", face_folder / "n000009")
    with pytest.raises(Mistake, match="not what it was when the network was trained"):
        choose_faces(None, training, recipe, 96)


def test_the_middle_of_wide_pictures_can_be_cut_out():
    path = SAMPLES / "n000001" / "0001_01.jpg"
    faces = load_faces([path], 96, 96, Problems())
    np.testing.assert_array_equal(faces.pixels[0], read_pixels(path)[48:144, 48:144])
