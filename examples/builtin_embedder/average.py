"""The mean of folded weights of several runs, each of which went on from another's.

    python average.py mean.npz run1/weights.npz run2/weights.npz run3/weights.npz

Such weights lie in one valley, and their mean knows pictures better than each of them (Wortsman et
al., "Model soups", ICML 2022).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from network import load_weights, save_weights


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="average folded weights")
    parser.add_argument("out", type=Path)
    parser.add_argument("weights", type=Path, nargs="+")
    args = parser.parse_args()
    runs = [load_weights(path) for path in args.weights]
    save_weights(args.out, {name: np.mean([run[name] for run in runs], 0) for name in runs[0]})


if __name__ == "__main__":
    main()
