"""Tables as spreadsheets, scripts and people write them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tbgrid.errors import TbgridError
from tbgrid.sources.tables import join_by_path, read_table

TWO = [("a.jpg", "cat"), ("b c.jpg", "")]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"path,label\na.jpg,cat\nb c.jpg\n", TWO),
        (b"path;label\r\na.jpg;cat\r\nb c.jpg;\r\n", TWO),
        (b"path\tlabel\ra.jpg\tcat\rb c.jpg\t", TWO),
        (b"sep=|\r\npath|label\r\na.jpg|cat\r\nb c.jpg|\r\n", TWO),
        (b"\xef\xbb\xbf path , label \n\n  \na.jpg,cat\n,\nb c.jpg,\n", TWO),
        ("path\tlabel\r\na.jpg\tcat\r\nb c.jpg\t\r\n".encode("utf-16"), TWO),
        (b"path,label,,\na.jpg,cat,,\nb c.jpg,,,,,\n", TWO),
        (b'"path","label"\n"a.jpg","cat"\n"b c.jpg",""\n', TWO),
        (b'path,label\na.jpg,"x, ""y""\r\nz"\n', [("a.jpg", 'x, "y"\r\nz')]),
        (b'path,label\na.jpg,5" wide\n', [("a.jpg", '5" wide')]),
        ("path,label\nü.jpg,写真\n".encode(), [("ü.jpg", "写真")]),
        ("path,label\nü.jpg,caf\xe9\n".encode("latin-1"), [("ü.jpg", "café")]),
        ("path,label\na.jpg,“5 €”\n".encode("cp1252"), [("a.jpg", "“5 €”")]),
        (b"path,label\n", []),
    ],
)
def test_a_table_is_read_however_it_was_saved(
    content: bytes, rows: list[tuple[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    table = read_table(tmp_path / "t.csv")
    assert table.columns == ("path", "label")
    assert list(table.rows) == rows


def test_a_tsv_has_tabs_whatever_its_header_holds(tmp_path: Path) -> None:
    (tmp_path / "t.TSV").write_text("a;b,c;d\n1,2;3\n")
    assert read_table(tmp_path / "t.TSV").columns == ("a;b,c;d",)


def test_a_column_without_a_name_gets_one(tmp_path: Path) -> None:
    """As pandas writes its row numbers."""
    (tmp_path / "t.csv").write_text(",path,\n0,a.jpg,x\n1,b.jpg,y\n")
    assert read_table(tmp_path / "t.csv").columns == ("column 1", "path", "column 3")


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('sep=,\n\npath,about\na,"1\n2"\n\nb,\n')
    table = read_table(tmp_path / "t.csv")
    assert table.lines == (4, 7)
    assert table.column("PATH") == 0
    assert table.column("nothing") == -1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "t.csv is empty: expected a header"),
        (b"\xef\xbb\xbf\n , \n\n", "t.csv is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "t.csv is not a text file"),
        (b"\x1f\x8b\x08\x08,,\n", "t.csv is not a text file"),
        (b"path,Label,label\n", "two columns named 'label'"),
        (b"path,path \n", "two columns named 'path'"),
        (b"path,label\na,b,c,d\n", "line 2: 4 values under 2 columns: quote values"),
        (b'path,label\na,"open\nb,cat\nc,dog\n', "line 2: .*close each quote"),
        (b'path,label\na,"b"c\n', "line 2: .*close each quote"),
        (b"path\n" + b"x" * 2_000_000, "line 2: field larger"),
    ],
)
def test_what_is_no_table_is_refused_with_the_line(
    content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(TbgridError, match=message) as caught:
        read_table(tmp_path / "t.csv")
    assert caught.value.hint
    assert len(str(caught.value).splitlines()) == 1


def test_a_table_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.csv", tmp_path):
        with pytest.raises(TbgridError, match=r"cannot read .*: use a CSV"):
            read_table(path)


# --- Rows for photos -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "names", "found", "unclear"),
    [
        (["a/1.jpg", "b/1.jpg"], ["a/1.jpg", "b/1.jpg"], [0, 1], 0),
        (["1.jpg", "2.jpg"], ["a/2.jpg", "b/1.jpg"], [1, 0], 0),
        (["x/a/1.jpg", "x/b/1.jpg"], ["b/1.jpg", "a/1.jpg"], [1, 0], 0),
        (["a/1.jpg", "b/1.jpg"], ["x/b/1.jpg", "x/a/1.jpg"], [1, 0], 0),
        (
            ["a\\1.jpg", "C:\\me\\b\\1.jpg", " ./c.jpg "],
            ["a/1.jpg", "b/1.jpg", "c.jpg"],
            [0, 1, 2],
            0,
        ),
        (["cafe\u0301.jpg"], ["a/caf\u00e9.jpg"], [0], 0),
        # A file name that several photos, or rows that differ, share says nothing.
        (["1.jpg"], ["a/1.jpg", "b/1.jpg", "2.jpg"], [None, None, None], 2),
        (["1.jpg"], ["1.jpg", "b/1.jpg"], [0, None], 1),
        (["a/1.jpg"], ["a/1.jpg", "b/1.jpg"], [0, None], 1),
        (["x/1.jpg", "y/1.jpg"], ["a/1.jpg"], [None], 1),
        (["", "", "1.jpg"], ["1.jpg", "11.jpg"], [2, None], 0),
    ],
)
def test_rows_find_their_photos(
    keys: list[str], names: list[str], found: list[int | None], unclear: int, tmp_path: Path
) -> None:
    rows = "".join(f'"{key}",{row}\n' for row, key in enumerate(keys))
    (tmp_path / "t.csv").write_text("path,row\n" + rows, "utf-8")
    told = join_by_path(read_table(tmp_path / "t.csv"), names)
    assert told.columns == ("row",)
    assert told.rows == [None if row is None else (str(row),) for row in found]
    assert told.ambiguous == unclear


@pytest.mark.parametrize("key", ["path", "File", "FILENAME", "file_name", "name"])
def test_the_key_has_several_names(key: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"other,{key}\nx,1.jpg\n")
    assert join_by_path(read_table(tmp_path / "t.csv"), ["1.jpg"]).rows == [("x",)]


def test_rows_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,x\na.jpg,1\na.jpg,1\n./a.jpg,2\n")
    with pytest.raises(TbgridError, match=r"line 4: a\.jpg is listed twice with different values"):
        join_by_path(read_table(tmp_path / "t.csv"), ["a.jpg"])
    (tmp_path / "t.csv").write_text("photo,x\na.jpg,1\n")
    with pytest.raises(TbgridError, match=r"no column path \(found photo, x\)"):
        join_by_path(read_table(tmp_path / "t.csv"), ["a.jpg"])


def test_a_hundred_thousand_rows_take_seconds(tmp_path: Path) -> None:
    names = [f"folder {row % 100}/{row}.jpg" for row in range(100_000)]
    (tmp_path / "t.csv").write_text("path,label\n" + "".join(f"{n},x\n" for n in names))
    begin = time.process_time()
    told = join_by_path(read_table(tmp_path / "t.csv"), names)
    assert told.rows == [("x",)] * 100_000
    assert time.process_time() - begin < 4
