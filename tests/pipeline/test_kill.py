"""`kill -9` at any moment: the run serves the old export or the new one, whole."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import tbgrid
from tbgrid import run_format
from tbgrid.check.run import check
from tbgrid.options import ExportOptions
from tbgrid.writers import run_directory
from tests.support.embedders import MeanColour
from tests.support.photos import draw_photos
from tests.support.preloaded import Preloaded
from tests.support.projector_backend import Backend

pytestmark = pytest.mark.filterwarnings("ignore:html5lib's sanitizer:DeprecationWarning")

MODEL = MeanColour()


@dataclass(frozen=True)
class Kind:
    """What tells one export from the other in all that the Projector serves."""

    photos: Path
    count: int
    thumbnail: int

    @property
    def options(self) -> ExportOptions:
        return ExportOptions(tile=self.thumbnail, use_cache=False)

    @property
    def arguments(self) -> list[str]:
        options = ["--model", "pixels", "--image-size", "8", "--tile", str(self.thumbnail)]
        return ["export", str(self.photos), "--no-cache", *options]


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Kind, Kind]:
    one = draw_photos(tmp_path_factory.mktemp("one"), each=5, seed=1)
    two = draw_photos(tmp_path_factory.mktemp("two"), each=9, seed=2)
    return Kind(one, 15, 16), Kind(two, 27, 24)


def served(logdir: Path, kinds: tuple[Kind, Kind]) -> Kind:
    """The export that TensorBoard's own back end serves: all of it, or the test fails."""
    backend = Backend(logdir)
    assert backend.json("runs") == ["."]
    tensors = backend.tensors(".")
    assert len(tensors) == 2, sorted(tensors)
    counts = {info["tensorShape"][0] for info in tensors.values()}
    kind = next(kind for kind in kinds if {kind.count} == counts)
    for name in tensors:
        tensor = backend.tensor(".", name)
        assert len(tensor) == kind.count
        lines = backend.bytes("metadata", run=".", name=name).decode().splitlines()
        assert len(lines) == kind.count + 1
        info = tensors[name]["sprite"]
        assert info["singleImageDim"] == [kind.thumbnail, kind.thumbnail]
        across = int(np.ceil(np.sqrt(kind.count)))
        assert backend.sprite(".", name).shape == (across * kind.thumbnail,) * 2 + (3,)
        if name.startswith("embedding"):
            for state in backend.json("bookmarks", run=".", name=name):
                assert len(state["projections"]) == kind.count
                assert state["dataSetDimensions"] == list(tensor.shape)
    return kind


def assert_no_rubbish(logdir: Path) -> None:
    home = logdir / run_format.HOME
    current = (home / run_format.CURRENT).read_text().strip()
    assert {path.name for path in home.iterdir()} == {current, run_format.CURRENT, ".lock"}
    assert {re.split(r"[.]\d", path.name)[0] for path in logdir.iterdir()} == {
        "plugins",
        run_format.CONFIG,
        run_format.CHECKPOINT_STATE,
        run_format.EVENTS_PREFIX.rstrip("."),
    }
    assert len(list(logdir.iterdir())) == 4
    assert check(logdir) == []


@pytest.mark.parametrize("moments", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_a_kill_leaves_one_whole_export(
    moments: int, kinds: tuple[Kind, Kind], preloaded: Preloaded, tmp_path: Path
) -> None:
    old, new = kinds
    logdir = tmp_path / "run"
    began = time.monotonic()
    assert preloaded.start("tbgrid", *old.arguments, "--logdir", logdir).wait() == 0
    duration = time.monotonic() - began
    assert served(logdir, kinds) == old
    rng = random.Random(0)
    outcomes = []
    for number in range(moments):
        # Spread over the run, start and end included; publication is tried step by step below.
        moment = duration * (number + rng.random()) / moments
        process = preloaded.start("tbgrid", *new.arguments, "--logdir", logdir)
        time.sleep(moment)
        process.kill()  # unless it was quicker than the first
        assert process.wait() in (0, -signal.SIGKILL)
        kind = served(logdir, kinds)
        outcomes.append((round(moment, 2), "new" if kind == new else "old"))
        if kind == new:
            old, new = new, old
    tbgrid.export(new.photos, logdir, new.options, embedder=MODEL)
    assert served(logdir, kinds) == new, outcomes
    assert_no_rubbish(logdir)


def killed_at(step: int, publish: Callable[[], object]) -> bool:
    """Run `publish` in a child that is killed before its file operation number `step`; whether it
    came to that."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
        return os.WIFSIGNALED(status)
    try:
        calls = iter(range(1000))

        def counted(original: Callable[..., object]) -> Callable[..., object]:
            def operation(*arguments: object, **options: object) -> object:
                if next(calls) == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return original(*arguments, **options)

            return operation

        for owner, name in OPERATIONS:
            setattr(owner, name, counted(getattr(owner, name)))
        publish()
    except BaseException:
        os._exit(1)
    os._exit(0)


OPERATIONS = (
    *((Path, name) for name in ("rename", "replace", "unlink", "write_text")),
    (shutil, "copyfile"),
    (shutil, "rmtree"),
)


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.slow
def test_a_kill_before_each_step_of_publication_leaves_one_whole_export(
    kinds: tuple[Kind, Kind], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = kinds
    logdir = tmp_path / "run"
    left: list[Path] = []

    def rehearsed(
        directory: Path, staging: Path, events: Path, names: Iterable[str], thumbnail: int
    ) -> Path:
        """Publication on copies of the run, killed before ever later a step, and at last done."""
        for step in range(1000):
            copy = tmp_path / f"killed before {step}"
            shutil.copytree(directory, copy)
            inside = (copy / staging.relative_to(directory), copy / events.relative_to(directory))
            left.append(copy)
            if not killed_at(step, partial(publish, copy, *inside, list(names), thumbnail)):
                break
        return publish(directory, staging, events, names, thumbnail)

    publish = run_directory.publish
    tbgrid.export(old.photos, logdir, old.options, embedder=MODEL)
    with monkeypatch.context() as patch:
        patch.setattr(run_directory, "publish", rehearsed)
        tbgrid.export(new.photos, logdir, new.options, embedder=MODEL)
    outcomes = "".join(told(copy, kinds) for copy in left)
    # "?" is the moment between the two names that TensorBoard reads, which no file system replaces
    # in one step: neither export is shown then, and never parts of both.
    assert re.fullmatch(r"o{9,}[?]n{5,}", outcomes), outcomes
    window = outcomes.index("?")
    for copy in (left[0], left[window - 1], left[window], left[window + 1], left[-2]):
        tbgrid.export(old.photos, copy, old.options, embedder=MODEL)
        assert served(copy, kinds) == old
        assert_no_rubbish(copy)


def told(logdir: Path, kinds: tuple[Kind, Kind]) -> str:
    """What is served: "o" for the old export, "n" for the new one, "?" for neither."""
    tensors = Backend(logdir).tensors(".")
    if all("tensorShape" in info and "metadataPath" in info for info in tensors.values()):
        return "on"[kinds.index(served(logdir, kinds))]
    assert not [info for info in tensors.values() if "tensorShape" in info and "sprite" in info]
    return "?"
