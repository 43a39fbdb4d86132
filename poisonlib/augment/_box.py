"""Boxes of pixels: rows ``top <= r < bottom``, columns ``left <= c < right``, stored as (top, left, bottom, right)."""

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor


def random_boxes(sides: Int64[Tensor, "n 2"], h: int, w: int, generator: torch.Generator) -> Int64[Tensor, "n 4"]:
    """Boxes of ``sides`` (height, width) around centres uniform over the pixels, clipped at the border; CPU.

    The centre of a side of s pixels is its pixel number s // 2, as in the public code of Cutout and CutMix. A side of 0 makes an
    empty box.
    """
    centre = torch.stack([torch.randint(size, sides.shape[:1], generator=generator) for size in (h, w)], 1)
    first = centre - sides // 2
    return torch.cat([first.clamp(min=0), torch.minimum(first + sides, torch.tensor([h, w]))], 1)


def inside(box: Int64[Tensor, "n 4"], h: int, w: int, dtype: torch.dtype = torch.bool) -> Shaped[Tensor, "n 1 h w"]:
    """1 at the pixels of each box, 0 elsewhere, on the box's device."""
    top, left, bottom, right = box[:, :, None].unbind(1)
    row, column = torch.arange(h, device=box.device), torch.arange(w, device=box.device)
    rows, columns = (row >= top) & (row < bottom), (column >= left) & (column < right)
    return rows.to(dtype)[:, None, :, None] * columns.to(dtype)[:, None, None, :]  # in floats five times as fast as in truths


def area(box: Int64[Tensor, "n 4"]) -> Int64[Tensor, "n 1"]:
    """Pixels in each box."""
    return (box[:, 2:] - box[:, :2]).prod(1, keepdim=True)
