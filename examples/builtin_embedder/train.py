"""Train the embedding network on Tiny-ImageNet: on its labels and a teacher's features.

    python prepare_data.py tiny-imagenet-200 data
    python teacher.py path/of/savedmodel data --views 2
    python train.py data run --epochs 10

The loss is cross entropy on the pooled features, plus how far a linear map of them, made in two
steps, is from the teacher's features (cosine), plus how far the pictures of a batch are from having
the similarities that the teacher sees among them: half way of that map, and as the network's own
features. What is random depends on the seed and the step alone, and progress on the step alone: a
run gives the same weights whether it was interrupted or not, on the same machine with the same
number of threads. It continues from `run/checkpoint.pt` if that exists.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from augment import Augmentation, augment
from network import DIM, Weights, load_weights, save_weights
from torch import Tensor, nn
from torch_network import Network, even, fold, unfold
from views import view_boxes


@dataclass(frozen=True, kw_only=True)
class Options:
    """One run's settings; they are kept in its checkpoint.

    Only when and how the run is shortened may change when it continues, and only before that.
    """

    epochs: float = 10.0
    batch: int = 128
    rate: float = 0.08  # peak, SGD with Nesterov momentum
    decay: float = 5e-4
    warmup: float = 0.04  # share of the run
    clip: float = 5.0  # longest gradient
    smoothing: float = 0.1
    label_weight: float = 1.0
    teacher_weight: float = 4.0
    relation_weight: float = 100.0
    own_relation_weight: float = 0.0
    sizes: str = "0:48,0.7:48/64,0.9:64"  # from each share on, these sides in turn
    average: float = 0.999  # of the weights, exponential
    cut: float = 0.0  # from this epoch on (0: never) go straight down to a rate of zero
    cut_length: float = 2.0  # over this number of epochs
    cut_sizes: str = "0:48/64,0.5:64"  # like sizes, for that part
    views: int = 2
    sharpen: float = 0.0  # as in Augmentation
    init: str = ""  # start from folded weights (.npz) or from a checkpoint's average (.pt)
    seed: int = 0

    def follows(self, earlier: dict[str, Any], epoch: float) -> bool:
        """Whether these options lead to what a run of `earlier` ones was at `epoch`."""
        now, late = asdict(self), {"cut", "cut_length", "cut_sizes"}
        same = all(earlier.get(k) == v for k, v in now.items() if k not in late)
        before = all(not cut or epoch <= cut for cut in (self.cut, earlier.get("cut", 0.0)))
        return same and (before or all(earlier.get(k) == now[k] for k in late))


class Schedule:
    """What a run does when, counted in steps."""

    def __init__(self, options: Options, per_epoch: int) -> None:
        self.options = options
        self.full = round(options.epochs * per_epoch)
        self.cut = round(options.cut * per_epoch) if options.cut else self.full
        self.end = min(self.full, self.cut + round(options.cut_length * per_epoch))

    def lowered(self, step: int) -> float:
        """How much of the part after the cut is over, 0 to 1."""
        return (step - self.cut) / (self.end - self.cut) if step > self.cut else 0.0

    def side(self, step: int) -> int:
        """The side of step's pictures."""
        if step < self.cut:
            share, sizes = step / self.full, self.options.sizes
        else:
            share, sizes = self.lowered(step), self.options.cut_sizes
        parts = [part.split(":") for part in sizes.split(",")]
        turns = [turn.split("/") for start, turn in parts if share >= float(start)][-1]
        return int(turns[step % len(turns)])

    def rate(self, step: int) -> float:
        """Learning rate: a linear rise, then half a cosine, or a straight line where it is cut."""
        share, warmup = min(step, self.cut) / self.full, self.options.warmup
        if share < warmup:
            return self.options.rate * share / warmup
        cosine = 0.5 * (1 + math.cos(math.pi * (share - warmup) / (1 - warmup)))
        return self.options.rate * cosine * (1 - self.lowered(step))


class Data(NamedTuple):
    """The training pictures with labels and, per view, boxes and the teacher's features."""

    x: npt.NDArray[np.uint8]
    y: npt.NDArray[np.int64]
    boxes: list[npt.NDArray[np.float32]]
    teacher: list[npt.NDArray[np.float16]]
    teacher_mean: Tensor

    def targets(self, rows: npt.NDArray[np.int64], views: npt.NDArray[np.int64]) -> Tensor:
        """The teacher's features about their mean, of length one: [N, dim]."""
        picked = np.stack([self.teacher[v][r] for r, v in zip(rows, views, strict=True)])
        return F.normalize(torch.from_numpy(picked.astype(np.float32)) - self.teacher_mean, dim=1)


class Answers(NamedTuple):
    """A student's answers to N pictures."""

    scores: Tensor  # [N, classes]
    features: Tensor  # [N, DIM], the network's output
    half_way: Tensor  # [N, DIM], mapped linearly
    guess: Tensor  # [N, teacher's dim], mapped on


class Student(nn.Module):
    """The network with what only training needs: a classifier and a map to teacher features."""

    def __init__(self, classes: int, teacher_dim: int) -> None:
        super().__init__()
        self.network = Network()
        self.project = nn.Linear(DIM, DIM)
        nn.init.eye_(self.project.weight)
        nn.init.zeros_(self.project.bias)
        self.classify = nn.Linear(DIM, classes)
        self.imitate = nn.Linear(DIM, teacher_dim)

    def forward(self, x: Tensor) -> Answers:
        """Everything that the loss looks at."""
        with torch.autocast("cpu", torch.bfloat16):
            pooled = self.network.pooled(x)
        pooled = pooled.float()
        half_way = self.project(pooled)
        return Answers(self.classify(pooled), even(pooled), half_way, self.imitate(half_way))

    @torch.no_grad()
    def begin(self, weights: Weights, pictures: Tensor) -> None:
        """Start from folded weights; the linear map starts around the mean of its input."""
        unfold(self.network, weights, pictures)
        self.network.eval()
        pooled = [self.network.pooled(batch) for batch in torch.split(pictures, 250)]
        self.project.bias.sub_(torch.cat(pooled).mean(0))


def load_part(folder: Path, part: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Pictures and labels of `train` or `val`."""
    return np.load(folder / f"tin_{part}_x.npy"), np.load(folder / f"tin_{part}_y.npy")


def load_data(folder: Path, views: int) -> Data:
    """Everything that training reads."""
    x, y = load_part(folder, "train")
    teacher = [np.load(folder / f"teacher_{v}.npy", mmap_mode="r") for v in range(views)]
    mean = torch.from_numpy(np.asarray(teacher[0][::10], np.float32).mean(0))
    return Data(x, y, [view_boxes(len(x), v) for v in range(views)], teacher, mean)


def relation_gap(features: Tensor, targets: Tensor) -> Tensor:
    """Mean squared difference of the cosines among features and among targets."""
    unit = F.normalize(features, dim=1)
    same = torch.eye(len(unit), dtype=torch.bool)
    return (unit @ unit.T - targets @ targets.T).masked_fill(same, 0).square().mean()


def losses(out: Answers, labels: Tensor, targets: Tensor, options: Options) -> Tensor:
    """The parts of the loss, weighted: labels, teacher, relations half way, own relations."""
    own = out.features - out.features.mean(0)
    parts = [
        options.label_weight
        * F.cross_entropy(out.scores, labels, label_smoothing=options.smoothing),
        options.teacher_weight * (1 - F.cosine_similarity(out.guess, targets).mean()),
        options.relation_weight * relation_gap(out.half_way, targets),
        options.own_relation_weight * relation_gap(own, targets),
    ]
    return torch.stack(parts)


@torch.no_grad()
def evaluate(
    student: Student, x: npt.NDArray[np.uint8], y: npt.NDArray[np.int64], side: int
) -> tuple[float, float]:
    """Top-1 accuracy, and accuracy of the ten nearest others, on labelled pictures."""
    student.eval()
    right, rows = 0, []
    for i in range(0, len(x), 250):
        pictures = torch.from_numpy(x[i : i + 250]).permute(0, 3, 1, 2).float().div(255)
        if side != pictures.shape[-1]:
            pictures = F.interpolate(pictures, (side, side), mode="bilinear", antialias=True)
        out = student(pictures.contiguous(memory_format=torch.channels_last))
        right += int((out.scores.argmax(1).numpy() == y[i : i + 250]).sum())
        rows.append(F.normalize(out.features, dim=1))
    unit, labels = torch.cat(rows), torch.from_numpy(y)
    near = (unit @ unit.T).fill_diagonal_(-2).topk(10).indices
    voted = F.one_hot(labels[near], int(labels.max()) + 1).sum(1).argmax(1)
    return right / len(x), float((voted == labels).float().mean())


class Run:
    """The state of a run, and one step of it."""

    def __init__(self, data: Data, options: Options) -> None:
        torch.manual_seed(options.seed)
        self.data, self.options, self.step = data, options, 0
        classes = int(data.y.max()) + 1
        self.student = Student(classes, len(data.teacher_mean))
        if options.init.endswith(".pt"):
            earlier = torch.load(options.init, weights_only=True)
            self.student.load_state_dict(earlier["averaged"])
        elif options.init:
            some = np.random.default_rng(options.seed).permutation(len(data.x))[:2000]
            pictures = torch.from_numpy(data.x[np.sort(some)]).permute(0, 3, 1, 2).float().div(255)
            self.student.begin(load_weights(Path(options.init)), pictures)
        self.student = self.student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(self.student).eval()
        maps = [p for p in self.student.parameters() if p.ndim > 1]
        rest = [p for p in self.student.parameters() if p.ndim <= 1]
        groups = [
            {"params": maps, "weight_decay": options.decay},
            {"params": rest, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.SGD(groups, lr=0.0, momentum=0.9, nesterov=True)
        self.per_epoch = len(data.x) // options.batch
        self.schedule = Schedule(options, self.per_epoch)
        self.steps = self.schedule.end
        self.order_of = (-1, np.empty(0, np.int64))

    def rows(self) -> npt.NDArray[np.int64]:
        """The pictures of this step: a part of the epoch's random order."""
        epoch, k = divmod(self.step, self.per_epoch)
        if self.order_of[0] != epoch:
            rng = np.random.default_rng([self.options.seed, epoch])
            self.order_of = (epoch, rng.permutation(len(self.data.x)).astype(np.int64))
        return self.order_of[1][k * self.options.batch : (k + 1) * self.options.batch]

    def advance(self) -> Tensor:
        """One step of descent; gives the parts of the loss."""
        options, schedule = self.options, self.schedule
        rows = self.rows()
        rng = np.random.default_rng([options.seed, self.step, 1])
        gen = torch.Generator().manual_seed(int(rng.integers(2**62)))
        views = rng.integers(0, options.views, len(rows))
        boxes = np.stack([self.data.boxes[v][r] for r, v in zip(rows, views, strict=True)])
        with torch.no_grad():
            pictures = augment(
                torch.from_numpy(self.data.x[rows]),
                torch.from_numpy(boxes),
                schedule.side(self.step),
                Augmentation(sharpen=options.sharpen),
                gen,
            )
        for group in self.optimizer.param_groups:
            group["lr"] = schedule.rate(self.step)
        self.student.train()
        labels, targets = torch.from_numpy(self.data.y[rows]), self.data.targets(rows, views)
        parts = losses(self.student(pictures), labels, targets, options)
        self.optimizer.zero_grad(set_to_none=True)
        parts.sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.student.parameters(), options.clip)
        self.optimizer.step()
        self.step += 1
        self.average()
        return parts.detach()

    @torch.no_grad()
    def average(self) -> None:
        """Move the averaged weights towards the present ones; faster at first."""
        keep = min(self.options.average, (1 + self.step) / (10 + self.step))
        now = self.student.state_dict()
        for name, value in self.averaged.state_dict().items():
            if value.dtype.is_floating_point:
                value.lerp_(now[name], 1 - keep)

    def save(self, path: Path) -> None:
        """Write a checkpoint, all of it or nothing."""
        state = {
            "options": asdict(self.options),
            "step": self.step,
            "student": self.student.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        part = path.with_suffix(".part")
        torch.save(state, part)
        part.replace(path)

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint of the same options."""
        state: dict[str, Any] = torch.load(path, weights_only=True)
        if not self.options.follows(state["options"], state["step"] / self.per_epoch):
            raise SystemExit(f"{path} is of a run with other options: {state['options']}")
        self.student.load_state_dict(state["student"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]


class Log:
    """Lines to the terminal and to a file."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("a")

    def __call__(self, line: str) -> None:
        """Write one line."""
        print(line, flush=True)
        print(line, file=self.file, flush=True)


def train(run: Run, folder: Path, val: Path, log: Log, every: float, stop: int) -> None:
    """All remaining steps; every few minutes a checkpoint and a look at validation pictures."""
    vx, vy = load_part(val, "val")
    parts, counted, began, saved = torch.zeros(4), 0, time.monotonic(), time.monotonic()
    while run.step < (min(stop, run.steps) if stop else run.steps):
        parts += run.advance()
        counted += 1
        now = time.monotonic()
        if run.step % 100 == 0:
            mean = " ".join(f"{p:.3f}" for p in (parts / counted).tolist())
            log(
                f"step {run.step} of {run.steps}, epoch {run.step / run.per_epoch:.2f}, "
                f"side {run.schedule.side(run.step)}, rate {run.schedule.rate(run.step):.4f}, "
                f"loss {mean}, {counted * run.options.batch / (now - began):.0f} pictures/s"
            )
            parts, counted, began = torch.zeros(4), 0, now
        if now - saved > 60 * every:
            run.save(folder / "checkpoint.pt")
            save_weights(folder / "weights.npz", fold(run.averaged.network))
            top, knn = evaluate(run.averaged, vx[::5], vy[::5], 64)
            log(f"  validation (2,000, averaged weights): top-1 {top:.3f}, kNN-10 {knn:.3f}")
            began = saved = time.monotonic()
            parts, counted = torch.zeros(4), 0
    run.save(folder / "checkpoint.pt")
    save_weights(folder / "weights.npz", fold(run.averaged.network))
    if run.step == run.steps:
        for side in (48, 64, 80, 96):
            top, knn = evaluate(run.averaged, vx, vy, side)
            log(f"done; validation at {side}: top-1 {top:.3f}, kNN-10 {knn:.3f}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="train the embedding network")
    parser.add_argument("data", type=Path, help="the folder of prepare_data.py and teacher.py")
    parser.add_argument("out", type=Path, help="checkpoint.pt, weights.npz and train.log go here")
    for field in fields(Options):
        kind = type(field.default)
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default)
    parser.add_argument("--every", type=float, default=5, help="minutes between checkpoints")
    parser.add_argument(
        "--stop-at", type=int, default=0, help="stop at this step, to continue later"
    )
    args = parser.parse_args()
    options = Options(**{field.name: getattr(args, field.name) for field in fields(Options)})
    torch.use_deterministic_algorithms(True)
    # Filling memory that nothing reads would cost a tenth of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    args.out.mkdir(parents=True, exist_ok=True)
    log = Log(args.out / "train.log")
    run = Run(load_data(args.data, options.views), options)
    if (args.out / "checkpoint.pt").exists():
        run.restore(args.out / "checkpoint.pt")
    log(f"from step {run.step} of {run.steps}, {torch.get_num_threads()} threads: {options}")
    train(run, args.out, args.data, log, args.every, args.stop_at)


if __name__ == "__main__":
    main()
