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


@pytest.mark.parametrize("way", [lists.ours, lists.naive])
def test_both_ways_hand_out_faces_of_a_tree(way, tmp_path, monkeypatch, face_folder):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(lists, "BATCH_SIZE", 4)
    monkeypatch.setattr(lists, "SECONDS", 0.01)
    figures = way(face_folder)
    assert 1 <= figures["people"] <= 4
    assert figures["images/s"] > 0


def test_a_folder_without_pictures_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(lists, "FACES_DIR", tmp_path)
    with pytest.raises(Mistake, match=f"FACES_DIR {tmp_path} holds no .jpg picture"):
        lists.main()
