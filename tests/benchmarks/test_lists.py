import pytest

from benchmarks import lists
from errors import Mistake


def test_a_tree_has_as_many_links_and_people_as_wanted(tmp_path, monkeypatch, face_folder):
    monkeypatch.setattr(lists, "FACES_DIR", face_folder)
    monkeypatch.setattr(lists, "FILES", 7)
    monkeypatch.setattr(lists, "IDENTITIES", 3)
    (tmp_path / "links").mkdir()
    lists.make_tree(tmp_path / "links")
    made = sorted(
        path.relative_to(tmp_path / "links" / "tree") for path in tmp_path.glob("links/tree/*/*")
    )
    counts = [len([path for path in made if path.parent.name == f"n00000{i}"]) for i in range(3)]
    assert counts == [3, 2, 2]


def test_a_folder_without_pictures_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(lists, "FACES_DIR", tmp_path)
    with pytest.raises(Mistake, match=f"FACES_DIR {tmp_path} holds no .jpg picture"):
        lists.main()
