"""The network in PyTorch, for training."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from network import LAYOUT, MEAN, ROOT, SOFT, STD, Block, Conv, Layout, Weights
from torch import Tensor, nn


class ConvNorm(nn.Module):
    """A convolution and its batch normalisation."""

    def __init__(self, conv: Conv) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            conv.inputs, conv.outputs, conv.kernel, conv.stride, conv.kernel // 2, bias=False
        )
        self.norm = nn.BatchNorm2d(conv.outputs)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, out, ceil(H / stride), ceil(W / stride)]."""
        y: Tensor = self.norm(self.conv(x))
        return y


class ResidualBlock(nn.Module):
    """One residual block; starts as its shortcut (the last scale is zero at first)."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.conv1, self.conv2 = ConvNorm(block.conv1), ConvNorm(block.conv2)
        self.skip = ConvNorm(block.skip) if block.skip else None
        nn.init.zeros_(self.conv2.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, out, H, W] or half of H and W, rounded up."""
        y = self.conv2(F.relu(self.conv1(x)))
        if self.skip is None:
            return F.relu(y + x)
        # Rounding up, without the padding in the averages, is TensorFlow's "SAME".
        return F.relu(y + self.skip(F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)))


class Network(nn.Module):
    """RGB pictures [N, 3, H, W] in [0, 1] -> features [N, DIM]."""

    mean: Tensor
    std: Tensor

    def __init__(self, layout: Layout = LAYOUT) -> None:
        super().__init__()
        self.layout = layout
        self.stem = ConvNorm(layout.stem)
        self.blocks = nn.ModuleList(ResidualBlock(block) for block in layout.blocks)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures -> features."""
        return even(self.pooled(x))

    def pooled(self, x: Tensor) -> Tensor:
        """The last block's output, averaged over the picture: [N, width]."""
        x = F.relu(self.stem((x - self.mean) / self.std))
        for block in self.blocks:
            x = block(x)
        return x.mean((2, 3))

    def named_convs(self) -> dict[str, ConvNorm]:
        """Every convolution with its batch normalisation, by the layout's names."""
        found = {self.layout.stem.name: self.stem}
        for module, block in zip(self.blocks, self.layout.blocks, strict=True):
            for part in ("conv1", "conv2", "skip"):
                conv = getattr(block, part)
                if conv is not None:
                    found[conv.name] = getattr(module, part)
        return found


def even(pooled: Tensor) -> Tensor:
    """Averages -> features, for comparison."""
    return (pooled + SOFT) ** ROOT


def fold(network: Network) -> Weights:
    """The network's weights, batch normalisation (as in evaluation) multiplied in."""
    weights: Weights = {}
    with torch.no_grad():
        for name, unit in network.named_convs().items():
            norm = unit.norm
            assert norm.running_var is not None
            assert norm.running_mean is not None
            scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).float()
            kernel = unit.conv.weight.float() * scale[:, None, None, None]
            weights[f"{name}.w"] = kernel.permute(2, 3, 1, 0).contiguous().numpy()
            weights[f"{name}.b"] = (norm.bias - norm.running_mean * scale).float().numpy()
    return weights


@torch.no_grad()
def load_folded(network: Network, weights: Weights) -> None:
    """Take over folded weights; batch normalisation (as in evaluation) only adds the biases."""
    for name, unit in network.named_convs().items():
        kernel = torch.from_numpy(weights[f"{name}.w"].astype(np.float32))
        unit.conv.weight.copy_(kernel.permute(3, 2, 0, 1))
        norm = unit.norm
        assert norm.running_var is not None
        assert norm.running_mean is not None
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
        norm.weight.fill_(1)
        norm.bias.copy_(torch.from_numpy(weights[f"{name}.b"].astype(np.float32)))


@torch.no_grad()
def unfold(network: Network, weights: Weights, pictures: Tensor) -> None:
    """Continue from folded weights: split each into a convolution and a batch normalisation again.

    What folding lost, the statistics, is measured on `pictures`: on them batch normalisation in
    training computes what the folded network does.
    """
    network.eval()
    load_folded(network, weights)
    sums: dict[str, tuple[Tensor, Tensor, int]] = {}

    def watch(name: str) -> torch.utils.hooks.RemovableHandle:
        def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], y: Tensor) -> None:
            s, q, n = sums.get(name, (torch.zeros(y.shape[1]), torch.zeros(y.shape[1]), 0))
            y = y.float()
            count = n + y.numel() // y.shape[1]
            sums[name] = (s + y.sum((0, 2, 3)), q + y.square().sum((0, 2, 3)), count)

        return network.named_convs()[name].conv.register_forward_hook(hook)

    handles = [watch(name) for name in network.named_convs()]
    for batch in torch.split(pictures, 250):
        network(batch)
    for handle in handles:
        handle.remove()
    for name, unit in network.named_convs().items():
        total, squares, count = sums[name]
        mean = total / count
        var = (squares / count - mean.square()).clamp(min=0)
        norm = unit.norm
        assert norm.running_var is not None
        assert norm.running_mean is not None
        # Batch normalisation undoes any scale of the kernel. Steps of descent do not: they reach as
        # far as in a fresh network if the kernel is about as long as there.
        scale = math.sqrt(unit.conv.in_channels) / float(unit.conv.weight.norm())
        unit.conv.weight.mul_(scale)
        norm.running_mean.copy_(mean * scale)
        norm.running_var.copy_(var * scale**2)
        norm.weight.copy_(torch.sqrt(var * scale**2 + norm.eps) / scale)
        norm.bias.add_(mean)
