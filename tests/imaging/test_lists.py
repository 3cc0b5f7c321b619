import collections
import os
import shutil

import numpy as np
import pytest

import train
from errors import Mistake
from imaging import index as index_module
from imaging import lists
from imaging.lists import FaceList, find_faces, fingerprint, hold_out_identities, load_faces
from training.faces import TrainingFaces

NAMES = (
    *("a/2.jpg", "a/1.jpg", "a/b.jpg", "a/b/c.jpg", "a/c.JPG", "a-x/1.png", "a.x/1.png"),
    *("b/deep/er/1.jpg", "top.jpg", "é/ü.jpg", "€/𝄞.jpg", "with\nbreak/1.jpg"),
)


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Every list gets an index, in a cache of its own; a function says whether one was used."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(lists, "INDEX_FROM", 1)
    monkeypatch.setattr(index_module, "SETTLED", 0)
    listed, list_images = [], lists._list_images

    def spy(root, now):
        listed.append(root)
        return list_images(root, now)

    monkeypatch.setattr(lists, "_list_images", spy)

    def find(folder):
        """Return (names, whether they came from the index)."""
        listed.clear()
        names = [os.fsdecode(name) for name in find_faces(folder).names()]
        return names, not listed

    return find


# --- The list ---


def test_the_order_is_that_of_the_whole_path(tmp_path):
    folder = make(tmp_path / "faces", *NAMES, "a/notes.txt", ".jpg")
    paths = find_faces(folder)
    expected = sorted((folder / name for name in NAMES), key=lambda path: path.as_posix())
    assert list(paths) == expected
    assert [paths[i] for i in range(len(paths))] == expected
    assert (paths[-1], paths[np.int64(2)]) == (expected[-1], expected[2])
    assert list(paths[2:9:3]) == expected[2:9:3]
    assert list(paths[2:9:3][1:]) == expected[2:9:3][1:]
    for position in (len(NAMES), -len(NAMES) - 1):
        with pytest.raises(IndexError):
            paths[position]


def test_names_that_are_not_utf_8_are_found(tmp_path):
    try:
        make(tmp_path, os.fsdecode(b"a/\xff.jpg"))
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    paths = find_faces(tmp_path)
    assert paths[0].is_file()
    assert list(paths.names()) == [b"a/\xff.jpg"]


def test_identities_are_folders_and_split_the_list(tmp_path):
    paths = find_faces(make(tmp_path, *NAMES))
    folders = {path.parent.relative_to(tmp_path).as_posix() for path in paths}
    assert {identity or "." for identity in paths.identities()} == folders
    outside, inside = paths.split(["a", ""])
    assert sorted(path.name for path in inside) == ["1.jpg", "2.jpg", "b.jpg", "c.JPG", "top.jpg"]
    assert sorted([*outside, *inside]) == sorted(paths)
    assert inside.identities() == ["", "a"]
    assert outside.split(["a"])[1].identities() == []


def test_an_image_takes_little_memory():
    names = [b"n%06d/%04d_01.jpg" % (i // 300, i % 300) for i in range(60_000)]
    folders, folder_of, joined, ends = lists._pack(list(names))
    paths = FaceList(None, folders, folder_of, joined, ends)
    assert list(paths.names()) == names
    assert (len(joined) + folder_of.nbytes + ends.nbytes + paths._chosen.nbytes) / 60_000 <= 30


def test_batches_are_those_of_a_plain_list(face_folder):
    paths = find_faces(face_folder)
    streams = [TrainingFaces(p, 4, smallest_crop=0.9, mirror=True) for p in (paths, list(paths))]
    for _, a, b in zip(range(6), *(stream.batches() for stream in streams), strict=False):
        for of_list, of_paths in zip(a, b, strict=True):
            np.testing.assert_array_equal(of_list, of_paths)


def test_people_in_training_and_validation_are_named(face_folder, tmp_path, monkeypatch):
    other = tmp_path / "other"
    shutil.copytree(face_folder / "n000003", other / "again" / "n000003")
    monkeypatch.setattr(train, "TRAIN_DIR", face_folder)
    monkeypatch.setattr(train, "VALIDATION_DIR", other)
    monkeypatch.setattr(train, "PRECISION", "float32")  # else it would stay 16 bits in later tests
    monkeypatch.setattr(train, "OUTPUT_DIR", tmp_path / "output")
    with pytest.raises(Mistake, match="1 identities are in both .*faces and .*other.*n000003"):
        train.main()
    lists.check_identities_apart(*find_faces(face_folder).split(["n000002"]))


# --- Finding and splitting ---


def test_faces_are_found_at_any_depth_in_a_fixed_order(tmp_path):
    for name in ("b/1.JPG", "a/deep/2.png", "a/1.jpg", "a/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [p.relative_to(tmp_path).as_posix() for p in find_faces(tmp_path)]
    assert found == ["a/1.jpg", "a/deep/2.png", "b/1.JPG"]


def test_missing_and_empty_folders_are_named(tmp_path):
    with pytest.raises(Mistake, match="no folder .*nowhere"):
        find_faces(tmp_path / "nowhere")
    with pytest.raises(Mistake, match="holds no image"):
        find_faces(tmp_path)


def test_held_out_identities_share_no_face_with_training(face_folder):
    paths = find_faces(face_folder)
    training, held_out = hold_out_identities(paths, 1)
    assert sorted([*training, *held_out]) == list(paths)
    assert {p.parent.name for p in held_out} == {"n000004"}
    assert {p.parent.name for p in training} == {"n000001", "n000002", "n000003"}
    for count in (0, 4, 5):
        with pytest.raises(Mistake, match="hold out"):
            hold_out_identities(paths, count)


def test_loaded_faces_are_spread_over_the_identities(face_folder):
    (face_folder / "n000001" / "0001_01.jpg").write_bytes(b"broken")
    pixels, identities, unreadable = load_faces(find_faces(face_folder), 8)
    assert pixels.shape == (8, 128, 128, 3)
    assert sorted(collections.Counter(identities).values()) == [2, 2, 2, 2]
    assert len(load_faces(find_faces(face_folder), 99)[0]) == 15
    assert [path.name for path in unreadable] == ["0001_01.jpg"]


def test_the_fingerprint_tells_lists_apart_but_not_places(face_folder, tmp_path):
    paths = find_faces(face_folder)
    before = fingerprint(paths)
    assert fingerprint(paths[1:]) != before
    moved = face_folder.rename(tmp_path / "moved")
    assert fingerprint(find_faces(moved)) == before


# --- What does not count ---


HIDDEN = (
    *("a/._1.jpg", "a/.hidden.png", ".ipynb_checkpoints/1-checkpoint.jpg", ".thumbnails/x/1.png"),
    *("__MACOSX/a/1.jpg", "a/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg", ".Trash-1000/files/1.jpg"),
    *("a/.ipynb_checkpoints/1-checkpoint.jpg", "$RECYCLE.BIN/1.jpg"),
)


def test_hidden_files_and_folders_of_systems_never_count(index, tmp_path):
    folder = make(tmp_path / ".data" / "faces", "a/1.jpg", "b/1.jpg", *HIDDEN)
    assert index(folder) == (["a/1.jpg", "b/1.jpg"], False)
    assert find_faces(folder).identities() == ["a", "b"]
    assert find_faces(folder).passed_over == {}
    make(folder, ".Trash-1000/files/2.jpg", "a/@eaDir/2.jpg")  # not even looked at
    assert index(folder) == (["a/1.jpg", "b/1.jpg"], True)
    only = make(tmp_path / "only", "._1.jpg")
    with pytest.raises(Mistake, match="holds no image"):
        find_faces(only)


def test_what_is_passed_over_is_counted(index, tmp_path):
    folder = make(tmp_path / "faces", "a/1.jpg", "a/2.HEIC", "b/3.heic", "b/film.mp4", "b/0001")
    make(folder, "list.csv", "README.md", "b/Thumbs.db")
    expected = {".heic": 2, ".mp4": 1, "": 1}
    note = f"Passed over in {folder}, as no pictures: 2 .heic, 1 without ending, 1 .mp4"
    for from_index in (False, True):
        assert index(folder)[1] == from_index
        faces = find_faces(folder)
        assert faces.passed_over == expected
        assert lists.passed_over_note(faces[:1]) == note
    assert lists.passed_over_note(find_faces(make(tmp_path / "clean", "a.jpg", "b.txt"))) == ""
    with pytest.raises(Mistake, match="holds no image .*, but 1 .heic"):
        find_faces(make(tmp_path / "phone", "1.heic"))


def test_of_many_kinds_passed_over_the_commonest_are_named(tmp_path):
    names = [f"{i}.{ending}" for i in range(2) for ending in ("x1", "x2", "x3", "x4", "x5")]
    note = lists.passed_over_note(find_faces(make(tmp_path, "a.jpg", "1.y", "2.z", *names)))
    assert note.endswith("2 .x5 and 2 more kinds")
    assert ".y" not in note


# --- Which folder is a person ---


def test_a_level_makes_one_person_of_several_folders(tmp_path):
    make(tmp_path, *(f"{p}/video{v}/{i}.jpg" for p in "abc" for v in (1, 2) for i in (1, 2)))
    make(tmp_path, "c/portrait.jpg", "loose.jpg")
    faces, by_folder = find_faces(tmp_path, identity_level=1), find_faces(tmp_path)
    assert list(faces) == list(by_folder)
    assert faces.identities() == ["", "a", "b", "c"]
    assert len(by_folder.identities()) == 8
    assert faces.first_of_each()["c"] == tmp_path / "c/portrait.jpg"
    assert list(faces.first_of_each()) == faces.identities()
    assert faces.identity(tmp_path / "a/video2/1.jpg") == tmp_path / "a"
    assert by_folder.identity(tmp_path / "a/video2/1.jpg") == tmp_path / "a/video2"
    assert find_faces(tmp_path, 2).identities() == by_folder.identities()
    training, held_out = hold_out_identities(faces, 1)
    assert {path.relative_to(tmp_path).parts[0] for path in held_out} == {"c"}
    assert held_out.identities() == held_out[:2].identities() == ["c"]
    assert "c" not in training.identities()
    with pytest.raises(Mistake, match="first is c"):
        lists.check_identities_apart(faces, held_out)
    first = list(lists.spread_over_identities(training))[:4]
    assert [path.relative_to(tmp_path).as_posix() for path in first] == [
        f"{p}/video1/{i}.jpg" for p in "ab" for i in (1, 2)
    ]


def test_loaded_faces_are_labelled_by_the_level(face_folder):
    for name in ("n000001", "n000002"):
        (face_folder / "p").mkdir(exist_ok=True)
        (face_folder / name).rename(face_folder / "p" / name)
    for level, count in ((None, 4), (1, 3)):
        identities = load_faces(find_faces(face_folder, level), 99)[1]
        assert len(set(identities)) == count
    assert f"{face_folder}/p" in identities


def test_a_tree_that_looks_nested_is_named_once_and_flat_ones_never(tmp_path):
    nested = make(tmp_path / "nested", "ann/v1/1.jpg", "ann/v2/1.jpg", "bob/v1/1.jpg")
    note = lists.nested_note(find_faces(nested))
    assert note == (
        "Each of 3 folders counts as a person, ann/v1 as well as ann/v2: set IDENTITY_LEVEL = 1 "
        "if ann is one person, = 2 if not"
    )
    assert (
        lists.nested_note(find_faces(nested, 1)) == lists.nested_note(find_faces(nested, 2)) == ""
    )
    flat = make(tmp_path / "flat", "ann/1.jpg", "bob/1.jpg", "lonely/deep/1.jpg")
    boxed = make(tmp_path / "boxed", "lfw/ann/1.jpg", "lfw/bob/1.jpg")
    assert [lists.nested_note(find_faces(folder)) for folder in (flat, boxed)] == ["", ""]


# --- The index ---


def test_a_later_start_reads_the_index(index, tmp_path):
    folder = make(tmp_path / "faces", *NAMES)
    first, from_index = index(folder)
    assert not from_index
    assert index(folder) == (first, True)
    assert index(tmp_path / "faces" / "..") == (["faces/" + name for name in first], False)
    assert not any(path.suffix == ".npz" for path in folder.rglob("*"))


def move(folder):
    (folder / "a/1.jpg").rename(folder / "a/9.jpg")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: make(folder, "b/deep/er/2.jpg"),
        lambda folder: make(folder, "new/1.jpg"),
        lambda folder: (folder / "b/deep/er/1.jpg").unlink(),
        lambda folder: shutil.rmtree(folder / "b"),
        move,
    ],
)
def test_a_change_is_noticed(index, tmp_path, change):
    folder = make(tmp_path / "faces", *NAMES)
    before, _ = index(folder)
    change(folder)
    after, from_index = index(folder)
    assert not from_index
    expected = (path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
    assert after == sorted(name for name in expected if (folder / name).is_file())
    assert after != before
    assert index(folder) == (after, True)


def test_a_folder_with_its_old_time_set_back_is_noticed(index, tmp_path):
    folder = make(tmp_path / "faces", *NAMES)
    index(folder)
    status = (folder / "a").stat()
    move(folder)
    os.utime(folder / "a", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "a/9.jpg" in index(folder)[0]


def test_a_folder_that_just_changed_is_listed_again(index, tmp_path, monkeypatch):
    monkeypatch.setattr(index_module, "SETTLED", 60 * 10**9)
    folder = make(tmp_path / "faces", *NAMES)
    names, _ = index(folder)
    assert index(folder) == (names, False)


def test_a_damaged_index_is_replaced(index, tmp_path):
    folder = make(tmp_path / "faces", *NAMES)
    names, _ = index(folder)
    path = lists.index_path(folder)
    content = path.read_bytes()
    for size in (0, 1, 30, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        assert index(folder) == (names, False)
        assert index(folder) == (names, True)
    flipped = bytearray(content)
    flipped[content.index(b"1.jpg")] ^= 1
    path.write_bytes(flipped)
    assert index(folder) == (names, False)


def test_an_index_that_cannot_be_written_is_done_without(index, tmp_path, capsys):
    folder = make(tmp_path / "faces", *NAMES)
    (tmp_path / "cache").touch()
    names, _ = index(folder)
    assert index(folder) == (names, False)
    assert "is not kept for later starts" in capsys.readouterr().out


def test_small_folders_get_no_index(index, tmp_path, monkeypatch):
    monkeypatch.setattr(lists, "INDEX_FROM", len(NAMES) + 1)
    index(make(tmp_path / "faces", *NAMES))
    assert not (tmp_path / "cache").exists()


def test_linked_folders_are_followed_but_not_in_circles(tmp_path):
    (tmp_path / "disk" / "a").mkdir(parents=True)
    (tmp_path / "disk" / "a" / "1.jpg").touch()
    faces = tmp_path / "faces"
    faces.mkdir()
    (faces / "train").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "a" / "back").symlink_to(faces)
    (faces / "gone").symlink_to(tmp_path / "nowhere")
    assert list(find_faces(faces)) == [faces / "train" / "a" / "1.jpg"]
