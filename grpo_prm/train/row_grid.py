"""Rows of a batch laid out by group, so that those of a group stand side by side."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Grid(NamedTuple):
    """Rows in a grid of shape (groups, width), in which some places have no row.

    Attributes:
        group: Group of each row, int64, shape (rows,), rising.
        groups: How many groups there are.
        width: Most rows of a group.
        place: Of each row in the flat grid, int64, shape (rows,); None: row n has place n, and every place has a row.
    """

    group: Tensor
    groups: int
    width: int
    place: Tensor | None

    def spread(self, rows: Tensor) -> Tensor:
        """Something of each row, shape (rows, ...), in the grid, shape (groups, width, ...); 0 where no row is."""
        if self.place is None:
            return rows.unflatten(0, (self.groups, self.width))
        flat = rows.new_zeros(self.groups * self.width, *rows.shape[1:]).index_copy_(0, self.place, rows)
        return flat.unflatten(0, (self.groups, self.width))

    def gather(self, grid: Tensor) -> Tensor:
        """The way back: shape (groups, width, ...) to (rows, ...)."""
        flat = grid.flatten(0, 1)
        return flat if self.place is None else flat.index_select(0, self.place)


def grid_of(group: Tensor, groups: int) -> Grid:
    """Lay rows out whose groups are given, int64, shape (rows,), rising."""
    count = torch.bincount(group, minlength=groups)
    width = int(count.max())
    if width * groups == len(group):
        return Grid(group, groups, width, None)
    first = count.cumsum(0) - count
    rank = torch.arange(len(group), device=group.device) - first[group]
    return Grid(group, groups, width, group * width + rank)
