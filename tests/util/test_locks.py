"""One process at a time writes a directory; others are told who does, and what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tbgrid.errors import TbgridError
from tbgrid.util.locks import claim_directory

HOLDER = """
import sys, time
from pathlib import Path
from tbgrid.util.locks import claim_directory
root = Path(sys.argv[1])
with claim_directory(root / "inner", root=root, busy="another job writes", parameter="logdir"):
    print("held", flush=True)
    time.sleep(600)
"""


def claim(root: Path) -> None:
    with claim_directory(root / "inner", root=root, busy="another job writes", parameter="logdir"):
        assert (root / "inner" / ".lock").exists()


def test_a_directory_is_made_and_can_be_claimed_again(tmp_path: Path) -> None:
    for _ in range(2):
        claim(tmp_path / "new" / "root")
    with (
        pytest.raises(RuntimeError, match="of the block"),
        claim_directory(tmp_path / "inner", root=tmp_path, busy="", parameter="out"),
    ):
        raise RuntimeError("an error of the block")
    claim(tmp_path)


def test_another_process_keeps_it_until_it_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(TbgridError) as caught:
                claim(tmp_path)
        finally:
            holder.kill()
            holder.wait()
    assert str(caught.value) == (
        f"another job writes {tmp_path}: wait until it has ended, or give another logdir"
    )
    assert "another --logdir" in caught.value.spelled(lambda path: f"--{path}")
    claim(tmp_path)


def test_what_is_not_a_directory_or_cannot_be_written_is_said(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for root in (file, file / "below"):
        with pytest.raises(TbgridError, match="is not a directory: give logdir a directory"):
            claim(root)
    with pytest.raises(TbgridError, match=r"cannot write .* \(File name too long\)"):
        claim(tmp_path / ("n" * 300))
