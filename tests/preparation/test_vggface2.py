import unicodedata

from preparing import write_table

from preparation import vggface2


def test_decomposed_file_names_find_their_row(tmp_path):
    write_table(tmp_path / "t.csv", "NAME_ID,X,Y,W,H", [("Zoë/1", (1, 2, 3, 4))])
    table = vggface2.Table(tmp_path / "t.csv", vggface2.BOX_COLUMNS)
    for form in ("NFC", "NFD"):
        assert table.find(unicodedata.normalize(form, "Zoë/1").encode()) == [1, 2, 3, 4]
    assert table.find(b"Zoe/1") is None
