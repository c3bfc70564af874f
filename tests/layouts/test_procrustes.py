from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from tbgrid.layouts.procrustes import aligned


@given(st.floats(0, 7), st.booleans(), st.floats(0.1, 10), st.integers(0, 2**16))
def test_a_turned_mirrored_and_moved_layout_comes_back(
    angle: float, mirrored: bool, scale: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    reference = rng.normal(size=(30, 2)) * (3, 1)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    changed = scale * (reference * ((-1, 1) if mirrored else (1, 1))) @ turn + (5, -2)
    found = aligned(changed, reference)
    np.testing.assert_allclose(found, scale * (reference - reference.mean(axis=0)), atol=1e-9)


@pytest.mark.parametrize("width", [0, 1])
def test_distances_stay_whatever_the_layouts(width: float) -> None:
    rng = np.random.default_rng(0)
    positions, reference = rng.normal(size=(2, 20, 2))
    positions[:, 1] *= width
    found = aligned(positions, reference)
    np.testing.assert_allclose(pdist(found), pdist(positions), atol=1e-12)
    # no other turn is nearer
    nearest = ((found - (reference - reference.mean(axis=0))) ** 2).sum()
    for angle in np.linspace(0, 2 * np.pi, 50):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        assert ((found @ turn - (reference - reference.mean(axis=0))) ** 2).sum() >= nearest - 1e-9
