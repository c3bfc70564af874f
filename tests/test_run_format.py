"""What TensorBoard and TensorFlow do with the names that a run may have."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from werkzeug.test import EnvironBuilder

from tbgrid import UsageError
from tbgrid.run_format import GLOB_UNSAFE, URL_UNSAFE, unsafe_run_name
from tbgrid.writers import run_directory

NAMES = [f"a{letter}41b" for letter in "&#+%?*[]\\,;=!'()@~$ ü"] + ["a[1]b"]


def name_in_url(name: str) -> str:
    """What the back end reads of a name that the page puts into its URL as it is."""
    url = urlsplit(f"http://localhost/data/plugin/projector/info?run={name}")
    builder = EnvironBuilder(path=url.path, query_string=url.query)
    return builder.get_request().args.get("run", "")


@pytest.mark.parametrize("name", NAMES)
def test_urls_carry_just_the_names_that_hold_no_unsafe_character(name: str) -> None:
    assert (name_in_url(name) == name) == (URL_UNSAFE.search(name) is None)


@pytest.mark.parametrize("name", NAMES)
def test_tensorflow_finds_just_the_checkpoints_whose_path_is_no_pattern(
    name: str, tmp_path: Path
) -> None:
    tf = pytest.importorskip("tensorflow")
    folder = tmp_path / name
    folder.mkdir()
    prefix = str(folder / "x.ckpt")
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=["x"], shape_and_slices=[""], tensors=[tf.ones([2])]
    )
    (folder / "checkpoint").write_text('model_checkpoint_path: "x.ckpt"\n')
    found = tf.train.latest_checkpoint(str(folder)) is not None
    assert found == (GLOB_UNSAFE.search(name) is None)


@pytest.mark.parametrize(
    ("name", "unsafe"),
    [("plain", ""), ("what?", ""), ("a&b", "&"), ("a\\b", "\\"), ("a[1]", "["), ("a[1", "")],
)
def test_the_first_unsafe_character_of_a_run_is_named(name: str, unsafe: str) -> None:
    assert unsafe_run_name(name) == unsafe


def test_the_exporter_refuses_such_a_run_and_notes_such_a_logdir(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"run_name 'a\[1\]' holds '\['"):
        run_directory.run_directory(tmp_path, "a[1]")
    assert run_directory.run_directory(tmp_path, "what?") == tmp_path / "what?"
    (note,) = run_directory.name_notes(tmp_path / "a[1]" / "runs")
    assert "'[', which TensorFlow reads as a pattern" in note
    (note,) = run_directory.name_notes(tmp_path / "a&b")
    assert "holds '&'" in note
    assert not run_directory.name_notes(tmp_path / "a&b" / "runs")
