"""A numerical check of the proof of Theorem 2 of DP-InstaHide, line by line, on small data sets that can be enumerated.

Each line is evaluated as printed and in a corrected form.
"""

from dataclasses import dataclass
from itertools import combinations, permutations
from math import comb, exp, factorial

import numpy as np

from ._proof_text import LINES
from .densities import as_rows, mixup_density


@dataclass(frozen=True)
class Step:
    """One line of the proof: its left side, and its right side as printed and as corrected, at the points z, of shape (p,) each.

    ``relation`` is "=", "<=" (the left side is at most the right side) or ">=". ``printed`` and ``corrected`` are the formulas of
    the right side in LaTeX, without dollars; in ``remark``, formulas stand between dollars.
    """

    place: str
    relation: str
    printed: str
    corrected: str
    remark: str
    left: np.ndarray
    printed_right: np.ndarray
    corrected_right: np.ndarray

    @property
    def printed_holds(self) -> bool:
        """Whether the line as printed holds at all points, up to a relative error of 1e-9."""
        return _holds(self.left, self.relation, self.printed_right)

    @property
    def corrected_holds(self) -> bool:
        """Whether the corrected line holds at all points, up to a relative error of 1e-9."""
        return _holds(self.left, self.relation, self.corrected_right)


def audit_proof(records, k, sigma, z):
    """Returns all lines of the proof, in order, as a tuple of `Step`.

    records has shape (n, d) or (n,), with an l1 diameter of at most 1. D contains all records, and D' all but the first, x0. The
    lines are evaluated at the points z of shape (p, d) or (p,).

    The printed lower bounds of p1 and p are false only for large sigma, where e^{-1/sigma} > k/n, and at points far from x0. Use
    such a sigma and such points to see all misprints. Raises ValueError unless 2 <= k <= n - 2: for k = 1, several misprints have
    no effect, and for k = n - 1, equation (9) contains (-1)!.
    """
    records = as_rows(records)
    if not 2 <= k <= len(records) - 2:
        raise ValueError(f"k={k}: must be from 2 to n - 2 = {len(records) - 2}, because otherwise some misprints have no effect")
    case = _Case(records, k, float(sigma), np.asarray(z, dtype=float).reshape(-1, records.shape[1]))
    values = _densities(case) | _with_x0(case) | _bounds(case)
    return tuple(Step(place, *LINES[place], *values[place]) for place in LINES)


class _Case:
    """The densities of one output at the points z: p for D, q for D', and p = p0 + p1 without and with x0 in the mixture."""

    def __init__(self, records, k, sigma, z):
        self.records, self.k, self.sigma, self.z, self.n = records, k, sigma, z, len(records)
        self.p = np.exp(mixup_density(records, k, sigma).log_density(z))
        self.q = np.exp(mixup_density(records[1:], k, sigma).log_density(z))
        self.p0 = self.total(combinations(range(1, self.n), k), 1 / k) / comb(self.n, k)
        self.p1 = self.p - self.p0

    def total(self, tuples, scale, x0=False, first=None):
        """Returns the sum over tuples of rows of phi_sigma(z - scale (x_1 + ... + x_first [+ x0])), of shape (p,)."""
        sums = np.array([self.records[list(rows[:first])].sum(0) for rows in tuples]) + (self.records[0] if x0 else 0)
        distance = np.abs(self.z[:, None] - scale * sums).sum(-1)
        return np.exp(-distance / self.sigma).sum(1) / (2 * self.sigma) ** self.z.shape[1]


def _densities(c):
    """Returns (left, printed right, corrected right) for the lines up to (8)."""
    n, k = c.n, c.k
    of_d, fewer_of_d, of_rest = combinations(range(n), k), combinations(range(n), k - 1), combinations(range(1, n), k)
    coefficient = factorial(k) * factorial(n - k - 1) / factorial(n - 1)
    without = (1 - k / n) * c.q
    return {
        "density of M_D": (c.p, c.total(of_d, 1) / comb(n, k), c.total(combinations(range(n), k), 1 / k) / comb(n, k)),
        "(7)": (c.q, coefficient * c.total(fewer_of_d, 1), coefficient * c.total(of_rest, 1 / k)),
        "(8)": (c.p0, without, without),
    }


def _with_x0(c):
    """Returns (left, printed right, corrected right) for (9) and (10), the part p1 of the density."""
    n, k, share = c.n, c.k, c.k / c.n
    printed9 = share * factorial(k - 1) * factorial(n - k - 2) / factorial(n - 1)
    rest = c.total(combinations(range(1, n), k - 1), 1 / k, x0=True)
    exact9 = share / comb(n - 1, k - 1) * rest
    tuples = c.total(permutations(range(1, n), k), 1 / k, x0=True, first=k - 1)
    subsets = c.total(combinations(range(1, n), k), 1 / k, x0=True, first=k - 1)
    exact10 = share * factorial(n - k - 1) / factorial(n - 1)
    return {
        "(9)": (c.p1, printed9 * c.total(combinations(range(n), k - 1), 1, x0=True), exact9),
        "(9), coefficient alone": (c.p1, printed9 * rest, exact9),
        "(10), over tuples": (c.p1, factorial(k) * exact10 * tuples, exact10 * tuples),
        "(10), over subsets": (c.p1, factorial(k) * exact10 * subsets, exact10 * tuples),
    }


def _bounds(c):
    """Returns (left, printed right, corrected right) for the inequalities after (10)."""
    share, a, one = c.k / c.n, 1 / (c.k * c.sigma), np.ones_like(c.q)
    low, high = share * exp(-a), share * exp(a)
    printed_low, printed_high = exp(-a * c.k), exp(a * c.k)  # as printed, with k in the exponent
    top, bottom = (1 - share + high) * one, one / (1 - share + low)
    return {
        "p1, below": (c.p1, printed_low * c.q, low * c.q),
        "p1, above": (c.p1, printed_high * c.q, high * c.q),
        "p, below": (c.p, (1 - share + printed_low) * c.q, (1 - share + low) * c.q),
        "p/q": (c.p / c.q, (1 - share + printed_high) * one, top),
        "p/q, simplified": (exp(a) * one, (1 - share + printed_high) * one, top),
        "q/p": (c.q / c.p, bottom, bottom),
        "max{A, B}": (bottom, np.maximum(top, bottom), top),
    }


def _holds(left, relation, right):
    """Whether left = right, left <= right or left >= right at all points, up to a relative error of 1e-9."""
    slack = 1e-9 * np.abs(right)
    if relation == "=":
        return bool(np.all(np.abs(left - right) <= slack))
    return bool(np.all(left <= right + slack) if relation == "<=" else np.all(left >= right - slack))
