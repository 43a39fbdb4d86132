"""The epsilon of DP-InstaHide under several readings of what was trained, from the paper's own to the released code.

A *reading* is a set of assumptions on the data, the neighbouring data sets and the training procedure. The bounds are those of
`theorem`, `epochs` and `assumptions`.
"""

import math
from dataclasses import dataclass

from . import theorem
from .assumptions import clipped_mass, dirichlet_log_ratio


@dataclass(frozen=True)
class Reading:
    """One reading and its guarantee.

    ``epsilon`` is the pure epsilon in nats, infinite if there is none. ``delta`` is a lower bound on the delta at every finite
    epsilon, and 0 if epsilon is finite. ``sentence`` states the assumptions.
    """

    name: str
    epsilon: float
    delta: float
    sentence: str


def honest_readings(sigma=16 / 255, k=4, n=50_000, t=50_000, epochs=40, pixels=3072, alpha=1.0):
    """Returns all readings as a tuple of `Reading`, the paper's own first.

    sigma is the noise scale for pixels in [0, 1], k the mixture width, n the number of images, and t the number of outputs per
    epoch. An image has ``pixels`` values. alpha is the parameter of the Dirichlet weights. Raises ValueError for values out of
    range.
    """
    numbers = (sigma, k, n, t)
    return (
        *_unclipped(numbers, epochs, pixels),
        *_weights(numbers, pixels, alpha),
        *_scheme(sigma, epochs, pixels),
        *_broken(numbers),
    )


def _unclipped(numbers, epochs, pixels):
    """Yields the readings under which the mechanism of Theorem 2 is used, with other diameters, neighbours or numbers of
    outputs."""
    sigma, k, n, t = numbers
    one, every = (float(theorem.epsilon(sigma, k, n, outputs)) for outputs in (t, t * epochs))
    radius, wide = (float(theorem.epsilon(sigma, k, n, t, diameter)) for diameter in (2.0, float(pixels)))
    yield Reading("as printed", one, 0.0, "sigma = s/255, as if any two images were at most 1 apart in l1; one epoch of T outputs.")
    yield Reading("looser bound", float(theorem.simple_bound(sigma, k, t)), 0.0, "T/(k sigma), under the same assumptions.")
    yield Reading("l1 radius 1", radius, 0.0, "The text of the theorem assumes radius 1, which allows a diameter of 2.")
    text = "A poison replaces an image. The same epsilon holds, but the paper's proof does not cover it."
    yield Reading("replaced record", one, 0.0, text)
    yield Reading("every epoch", every, 0.0, f"Diameter 1, {epochs} epochs with fresh draws.")
    yield Reading("true diameter", wide, 0.0, f"Images in [0, 1]^{pixels}, one epoch.")
    both = float(theorem.epsilon(sigma, k, n, t * epochs, float(pixels)))
    yield Reading("true diameter, every epoch", both, 0.0, f"Images in [0, 1]^{pixels}, {epochs} epochs.")


def _weights(numbers, pixels, alpha):
    """Yields the readings with Dirichlet weights, as in the released code."""
    sigma, k, n, t = numbers
    least = t * dirichlet_log_ratio(sigma, k, n, alpha)
    most = t * float(theorem.bound_a(sigma, k, n, float(k)))
    wide = t * float(theorem.bound_a(sigma, k, n, float(k * pixels)))
    yield Reading("Dirichlet weights, at least", least, 0.0, "Diameter 1, one epoch. A known data set reaches this value.")
    yield Reading("Dirichlet weights, at most", most, 0.0, "Diameter 1, one epoch. The weight of x0 may be 1.")
    yield Reading("Dirichlet weights, true diameter, at most", wide, 0.0, f"Images in [0, 1]^{pixels}, one epoch.")


def _scheme(sigma, epochs, pixels):
    """Yields the readings with k permutations per epoch, as in the released code."""
    text = "x0 is replaced. Its weights in all outputs of an epoch sum to 1."
    yield Reading("permutations, one epoch", 1 / sigma, 0.0, f"Diameter 1. {text}")
    yield Reading(
        "permutations, true diameter, every epoch",
        epochs * pixels / sigma,
        0.0,
        f"Images in [0, 1]^{pixels}, {epochs} epochs. {text}",
    )


def _broken(numbers):
    """Yields the readings without a finite pure epsilon."""
    sigma, k, n, t = numbers
    clipped = -math.expm1(t * math.log1p(-clipped_mass(sigma, k, n, sigma)))
    labels = -math.expm1(t * math.log1p(-k / n))
    text = "Diameter 1, one epoch, noise clipped as in the released code. delta is a lower bound."
    yield Reading("noise clipped at one scale", math.inf, clipped, text)
    text = "One epoch; x0 is the only image of its class. delta is a lower bound."
    yield Reading("labels mixed without noise", math.inf, labels, text)
    text = "Each image yields one output, so the number of outputs reveals whether x0 is in the data set."
    yield Reading("T = n or n - 1 outputs", math.inf, 1.0, text)
