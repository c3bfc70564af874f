"""Shards by a real Ray on this machine: the files are those of one process, whoever dies."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tbgrid import ExportOptions, TbgridError, find_photos
from tbgrid.cli.main import main
from tbgrid.embedding import shard_index
from tbgrid.embedding.model_info import ModelInfo
from tbgrid.pipeline import ray_runner
from tbgrid.pipeline.embed_shards import embed_shards
from tbgrid.pipeline.shard_job import Job
from tbgrid.types import Float32Array
from tests.support.embedders import MeanColour
from tests.support.files import files
from tests.support.paths import ROOT
from tests.support.photos import draw_photos

NO_RAY = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="needs Ray: pip install -e '.[test-all]'"
)
SHARD, SHARDS = 5, 6
OPTIONS = ExportOptions(tile=24, preview=80, batch=2)


def on_ray(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that starts Ray, which takes its time."""
    marked: Callable[..., None] = pytest.mark.slow(NO_RAY(test))
    return marked


class Mortal(MeanColour):
    """Its first process to reach a second batch is killed there; `folder` remembers that, and
    which processes have embedded. With `always` every process is killed."""

    def __init__(self, folder: Path, always: bool = False) -> None:
        self.folder, self.always = folder, always

    def __call__(self, images: Float32Array) -> Float32Array:
        seen = self.folder / f"process {os.getpid()}"
        if seen.exists():
            try:
                (self.folder / "killed").touch(exist_ok=self.always)
                os.kill(os.getpid(), signal.SIGKILL)
            except FileExistsError:
                pass
        seen.touch()
        time.sleep(0.2)  # so that each worker gets its share
        return super().__call__(images)


class Broken(MeanColour):
    def __call__(self, _: Float32Array) -> Float32Array:
        raise ZeroDivisionError("a bug")


def embed_on_ray(photos: str, out: str, model: MeanColour) -> None:
    progress: list[tuple[int, int | None]] = []
    done = embed_shards(
        photos,
        out,
        OPTIONS,
        shard=SHARD,
        embedder=model,
        runner="ray",
        workers=2,
        progress=lambda stage, n, total: progress.append((n, total)) if stage == "embed" else None,
    )
    print(json.dumps({"made": done.new_shards, "progress": progress}))


def run(cluster: str, photos: Path, out: Path, model: str) -> subprocess.CompletedProcess[str]:
    """`embed_on_ray` in a process of its own, where `model` is built."""
    arguments = f"{str(photos)!r}, {str(out)!r}, {model}"
    program = f"from {__name__} import *; embed_on_ray({arguments})"
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,  # from which Ray's workers import this module, too
        env={**os.environ, "RAY_ADDRESS": cluster},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


CLUSTER = """
from ray.cluster_utils import Cluster
node = {"num_cpus": 1, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args=node)
try:
    cluster.add_node(num_cpus=1)
    print(cluster.address, flush=True)
    input()
finally:
    cluster.shutdown()
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a Ray cluster of two nodes with a CPU each."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout
    yield next(line.strip() for line in process.stdout if line[0].isdigit())
    process.communicate("\n", timeout=120)


@pytest.fixture(scope="module")
def thirty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = draw_photos(tmp_path_factory.mktemp("thirty") / "photos", each=10)
    (folder / "red" / "003.jpg").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def local(thirty: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`thirty` embedded by this process."""
    out = tmp_path_factory.mktemp("local")
    embed_shards(thirty, out, OPTIONS, shard=SHARD, embedder=MeanColour())
    return out


def tbgrid(*arguments: str | Path, **more: Any) -> subprocess.Popen[str]:
    """`tbgrid embed` with `arguments`; `more` is for `subprocess.Popen`."""
    words = [sys.executable, "-m", "tbgrid", "embed", *map(str, arguments)]
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )


@on_ray
def test_a_killed_worker_loses_and_doubles_nothing(
    cluster: str, thirty: Path, local: Path, tmp_path: Path
) -> None:
    memory, out = tmp_path / "memory", tmp_path / "out"
    memory.mkdir()
    done = run(cluster, thirty, out, f"Mortal(Path({str(memory)!r}))")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["made"] == SHARDS
    assert told["progress"][0] == [0, 30]
    assert told["progress"][-1] == [30, 30]
    assert (memory / "killed").exists()
    assert len(list(memory.glob("process *"))) >= 3  # two, and the one in place of the killed
    assert files(out) == files(local)


@on_ray
def test_workers_that_always_die_are_one_line(cluster: str, thirty: Path, tmp_path: Path) -> None:
    model = f"Mortal(Path({str(tmp_path)!r}), always=True)"
    done = run(cluster, thirty, tmp_path / "out", model)
    assert done.returncode == 1
    assert "TbgridError: " in done.stderr
    assert "4 workers died one after another of the photos from " in done.stderr
    assert len(list(tmp_path.glob("process *"))) >= 4


@on_ray
def test_a_bug_in_a_worker_keeps_its_traceback(cluster: str, thirty: Path, tmp_path: Path) -> None:
    done = run(cluster, thirty, tmp_path / "out", "Broken()")
    assert done.returncode == 1
    assert "ZeroDivisionError: a bug" in done.stderr
    assert "TbgridError" not in done.stderr


@on_ray
def test_a_network_gives_the_same_vectors_in_rays_workers(thirty: Path, tmp_path: Path) -> None:
    for runner in ("local", "ray"):
        options = ["--shard", "10", "--runner", runner, "--workers", "2"]
        process = tbgrid("photos", "--out", tmp_path / runner, *options, cwd=thirty.parent)
        out, err = process.communicate(timeout=500)
        assert process.returncode == 0, err
        assert err.splitlines() == ["skipped: red/003.jpg (not a picture that Pillow can open)"]
        assert out.startswith("29 photos embedded by builtin, 1 skipped; 3 shards, ")
    assert files(tmp_path / "local") == files(tmp_path / "ray")


@on_ray
def test_interrupting_ends_cleanly_and_keeps_shards(thirty: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments: list[str | Path] = [thirty, "--out", out, "--model", "pixels", "--shard", "1"]
    process = tbgrid(*arguments, "--runner", "ray", "--workers", "2", start_new_session=True)
    while not list(out.glob("shard-*")):
        time.sleep(0.02)
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    (line,) = stderr.splitlines()
    assert line.startswith("tbgrid: interrupted")
    kept = len(list(out.glob("shard-*")))
    again = tbgrid(*arguments, "--json")
    told = json.loads(again.communicate(timeout=120)[0])
    assert told["made"] == 30 - kept < 30


@on_ray
def test_a_cluster_gives_the_same_shards(cluster: str, thirty: Path, tmp_path: Path) -> None:
    """By a network, to the last bit. Relative paths start where the command was typed."""
    arguments = ["photos", "--shard", "10", "--out"]
    (tmp_path / "photos").symlink_to(thirty)
    local = tbgrid(*arguments, "local", cwd=tmp_path)
    assert local.communicate(timeout=300)
    words = [*arguments, "cluster", "--json", "--runner", "ray", "--workers", "2"]
    process = tbgrid(*words, cwd=tmp_path, env={**os.environ, "RAY_ADDRESS": cluster})
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["made"] == 3
    local_files, files_of_cluster = files(tmp_path / "local"), files(tmp_path / "cluster")
    assert local_files.keys() == files_of_cluster.keys()
    assert [name for name in local_files if local_files[name] != files_of_cluster[name]] == []


@on_ray
def test_a_cluster_that_is_not_there_is_one_line(thirty: Path, tmp_path: Path) -> None:
    arguments: list[str | Path] = [
        thirty,
        "--out",
        tmp_path / "out",
        "--model",
        "pixels",
        "--runner",
        "ray",
    ]
    process = tbgrid(*arguments, env={**os.environ, "RAY_ADDRESS": "127.0.0.1:1"})
    (line,) = process.communicate(timeout=300)[1].splitlines()
    assert process.returncode == 1
    assert "Ray does not start at 127.0.0.1:1" in line


def test_without_ray_the_way_out_is_told(
    thirty: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    arguments = ["embed", str(thirty), "--out", str(tmp_path / "out"), "--runner", "ray"]
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("pip install 'tbgrid[ray]'")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def job(thirty: Path, tmp_path: Path) -> Job:
    source, folder = find_photos(thirty), tmp_path / "out"
    folder.mkdir()
    fixed = {"model": "mean-colour"}
    index = shard_index.begin_index(folder, source, ModelInfo.of(MeanColour()), fixed, SHARD)
    return Job(
        folder=folder,
        index=index,
        source=source,
        options=OPTIONS,
        embedder=MeanColour(),
        working_directory=str(tmp_path),
    )


def test_a_machine_that_sees_other_files_is_refused(job: Job, tmp_path: Path) -> None:
    ray_runner._check_view(job)
    with pytest.raises(
        TbgridError, match=r"has no directory .*elsewhere: all machines must see it"
    ):
        ray_runner._check_view(replace(job, working_directory=str(tmp_path / "elsewhere")))
    with pytest.raises(TbgridError, match=r"does not see .*other: all machines must see it"):
        ray_runner._check_view(replace(job, folder=tmp_path / "other"))
    with pytest.raises(TbgridError, match=r"does not see .*out: all machines must see it"):
        ray_runner._check_view(replace(job, index=replace(job.index, shard=SHARD + 1)))


def test_a_machine_with_another_model_is_refused(job: Job) -> None:
    ray_runner._check_versions(job, MeanColour())
    with pytest.raises(TbgridError, match=r"has another model .*larger.*: install the same"):
        ray_runner._check_versions(job, Larger())
    older = replace(job, index=replace(job.index, decoding="Pillow 1"))
    with pytest.raises(TbgridError, match=r"has another decoding \(Pillow .*, not Pillow 1\)"):
        ray_runner._check_versions(older, MeanColour())


class Larger(MeanColour):
    model_id = "larger"


def test_a_shard_is_tried_four_times(job: Job) -> None:
    for _ in range(4):
        with pytest.raises(KeyboardInterrupt), ray_runner._count_tries(job, 1):
            raise KeyboardInterrupt  # as good as a death
    with (
        pytest.raises(TbgridError, match=r"from blue/005.jpg to blue/009.jpg"),
        ray_runner._count_tries(job, 1),
    ):
        pass
    with ray_runner._count_tries(job, 2):
        pass
    assert not list(job.folder.glob(f"{shard_index.MAKING}tries-00002"))
