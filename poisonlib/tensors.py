"""Pixels are bytes (steps of 1/255) at rest and floats in [0, 1] in computations. Only this module rounds and projects."""

import math

import torch
from jaxtyping import Float, Integer
from torch import Tensor


def to_float(images: Integer[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Stored pixels as float32: 0 -> 0.0, 255 -> 1.0."""
    return images.float() / 255


def quantise(x: Float[Tensor, "*shape"]) -> Integer[Tensor, "*shape"]:
    """The uint8 pixels nearest to ``x`` (floats in [0, 1]); values outside are clipped, as in any 8-bit image file."""
    return (x * 255).round().clamp(0, 255).to(torch.uint8)


def project(delta: Float[Tensor, "*shape"], base: Float[Tensor, "*shape"], eps: float) -> Float[Tensor, "*shape"]:
    """Project ``delta`` onto the l-inf ball of radius ``eps`` and onto perturbations that keep ``base + delta`` in [0, 1]."""
    return (base + delta.clamp(-eps, eps)).clamp(0, 1) - base


def levels(eps: float) -> int:
    """The largest change of a stored pixel, in steps of 1/255, that an l-inf bound ``eps`` (in units of [0, 1]) allows."""
    return math.floor(eps * 255 + 1e-4)


def to_bytes(x: Float[Tensor, "*shape"], base: Integer[Tensor, "*shape"], eps: float) -> Integer[Tensor, "*shape"]:
    """The uint8 pixels nearest to ``x`` (floats in [0, 1]) that differ from ``base`` (uint8) by at most ``eps``."""
    most = levels(eps)
    change = ((x * 255).round().int() - base).clamp(-most, most)
    return (base + change).clamp(0, 255).to(torch.uint8)
