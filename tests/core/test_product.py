"""Matrix products in blocks, against sums written out."""

from __future__ import annotations

import numpy as np
import pytest

from grpo_prm.core import product as module
from grpo_prm.core.product import product


@pytest.mark.parametrize("small", [1, 6, 13, module.SMALL])  # one row at a time, and blocks that do and do not divide
@pytest.mark.parametrize("shape", [(5, 3, 2), (4, 2, 3), (0, 3, 2), (3, 0, 2), (3, 2, 0)])
def test_every_entry_is_a_sum_of_products(shape, small, monkeypatch):
    monkeypatch.setattr(module, "SMALL", small)
    rows, inner, columns = shape
    rng = np.random.default_rng(0)
    left, right = rng.integers(-3, 4, (rows, inner)), rng.integers(-3, 4, (inner, columns))
    expected = [[sum(left[i, n] * right[n, j] for n in range(inner)) for j in range(columns)] for i in range(rows)]
    found = product(left.astype(float), right.astype(float))
    assert found.shape == (rows, columns) and found.tolist() == expected


@pytest.mark.parametrize("small", [1, 12, 24])
def test_no_product_is_larger_than_small_unless_of_one_row(small, monkeypatch):
    sizes, matmul = [], np.matmul

    def counted(left, right, out):
        sizes.append((len(left), len(left) * right.size))
        return matmul(left, right, out=out)

    monkeypatch.setattr(module, "SMALL", small)
    monkeypatch.setattr(np, "matmul", counted)
    product(np.ones((9, 3)), np.ones((3, 2)))
    assert sum(rows for rows, _ in sizes) == 9
    assert all(rows == 1 or size <= small for rows, size in sizes)
    assert len(sizes) == {1: 9, 12: 5, 24: 3}[small]
