"""Dose and response: cells that differ in one number alone, and a logistic regression of the attack's hits on it."""

import functools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..experiments.spec import canonical
from .cells import Cell

NEEDED = 3  # doses for a curve: through two, any line goes


@dataclass(frozen=True)
class Dose:
    """A value of the attack, of an augmentation among ``parts``, or of the step, and what it is where that is absent."""

    label: str
    field: str
    parts: tuple[str, ...] = ()
    step: bool = False
    absent: float | None = None


DOSES = {
    "poison rate": Dose("poison rate (of the intended class for a patch, else of the training set)", "poison_rate"),
    "eps": Dose("largest change of a pixel (pixels in 0 to 1)", "eps"),
    "noise scale": Dose("scale of the noise (pixels in 0 to 1)", "scale", ("laplace", "gaussian"), absent=0.0),
    "mixture width": Dose("k, images in a mix (1: no mixup)", "k", ("mixup",), absent=1.0),
    "gradient noise": Dose("noise multiplier of the gradient step", "noise", step=True),
}


@dataclass(frozen=True)
class Series:
    """Cells that differ in the dose alone, weakest dose first."""

    doses: tuple[float, ...]
    cells: tuple[Cell, ...]

    @property
    def trials(self) -> tuple[np.ndarray, np.ndarray]:
        """(dose, share of hits) of every trial."""
        doses = np.repeat(self.doses, [len(cell.seeds) for cell in self.cells])
        return doses, np.concatenate([cell.success for cell in self.cells])

    @property
    def curve(self) -> "Curve | str":
        """The fitted curve, or why there is none."""
        return _curve(self)


@functools.lru_cache(maxsize=256)
def _curve(line: Series) -> "Curve | str":
    try:
        return fit(*line.trials)
    except ValueError as error:
        return str(error)


def series(cells: Sequence[Cell], dose: Dose) -> list[Series]:
    """All series of at least two doses among the cells, those with the most doses first.

    Cells without the augmentation are the weakest dose of every series that has all else in common with them.
    """
    groups: dict[str, list[tuple[str | None, float, Cell]]] = {}
    for cell in cells:
        if found := split(cell.setting.text, dose):
            rest, kind, value = found
            groups.setdefault(rest, []).append((kind, value, cell))
    found = [_series(kind, group) for group in groups.values() for kind in dict.fromkeys(k for k, *_ in group if k is not None)]
    return sorted((each for each in found if len(set(each.doses)) > 1), key=lambda each: -len(set(each.doses)))


def _series(kind: str, group: list[tuple[str | None, float, Cell]]) -> Series:
    mine = sorted(((value, cell) for k, value, cell in group if k in (kind, None)), key=lambda pair: pair[0])
    doses, cells = zip(*mine, strict=True)
    return Series(doses, cells)


@functools.lru_cache(maxsize=4096)
def split(text: str, dose: Dose) -> tuple[str, str | None, float] | None:
    """(all else, what has the dose, the dose) of a setting; None where it has no such value, or several."""
    spec = json.loads(text)
    if not (dose.parts or dose.step):
        return _taken(spec | {"attack": None}, spec["attack"], dose)
    defence = spec["defence"]
    if dose.step:
        return _taken(spec | {"defence": defence | {"step": None}}, defence.get("step") or {}, dose)
    holders = [part for part in defence["augment"] if part["name"] in dose.parts]
    rest = spec | {"defence": defence | {"augment": [part for part in defence["augment"] if part not in holders]}}
    if not holders:
        return canonical(rest), None, dose.absent
    return _taken(rest, holders[0], dose) if len(holders) == 1 else None


def _taken(rest: dict, holder: dict, dose: Dose) -> tuple[str, str, float] | None:
    if not isinstance(holder.get(dose.field), int | float):  # a class of the user's own may have a text there
        return None
    return canonical(rest), canonical({k: v for k, v in holder.items() if k != dose.field}), float(holder[dose.field])


@dataclass(frozen=True)
class Curve:
    """A fitted response: log-odds = intercept + slope × dose, with the covariance of both."""

    intercept: float
    slope: float
    covariance: tuple[tuple[float, float], tuple[float, float]]
    width: float  # standard errors on either side of the 95 % band

    @property
    def words(self) -> str:
        error = self.width * math.sqrt(self.covariance[1][1])
        return f"log-odds {self.slope:+.2g} a unit, 95 % interval {self.slope - error:.2g} to {self.slope + error:.2g}"

    def at(self, doses) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(value, low, high) of the mean response, as shares."""
        design = np.stack([np.ones(len(doses)), np.asarray(doses, dtype=float)], axis=1)
        line = design @ (self.intercept, self.slope)
        error = np.sqrt(np.einsum("ni,ij,nj->n", design, np.array(self.covariance), design))
        return tuple(1 / (1 + np.exp(-(line + side * self.width * error))) for side in (0, -1, 1))


def fit(doses, rates) -> Curve:
    """Logistic regression by scipy; the unit is the trial, each a hit or a miss or a rate in [0, 1].

    Trials count as independent. Where all doses have the same seeds, and so the same goals, the band is too narrow between them.
    Rates spread otherwise than hits do, so their spread is estimated (quasi-binomial, Pearson; McCullagh & Nelder 1989, 4.5) and
    the band is Student's. Raises ValueError where no finite curve exists or nothing is left to judge it by.
    """
    doses, rates = np.asarray(doses, dtype=float), np.asarray(rates, dtype=float)
    _check(doses, rates)
    from scipy.stats import norm, t

    scale = np.array([1.0, np.abs(doses).max()])
    weights, fitted, covariance = _likeliest(np.stack([np.ones(len(doses)), doses], axis=1) / scale, rates)
    if np.isin(rates, (0, 1)).all():
        spread, width = 1.0, norm.ppf(0.975)
    else:
        spread = ((rates - fitted) ** 2 / (fitted * (1 - fitted))).sum() / (len(doses) - 2)
        width = t.ppf(0.975, len(doses) - 2)
    covariance = spread * covariance / np.outer(scale, scale)
    return Curve(*map(float, weights / scale), tuple(map(tuple, covariance.tolist())), float(width))


def _check(doses: np.ndarray, rates: np.ndarray) -> None:
    if len(set(doses)) < NEEDED:
        raise ValueError(f"{len(set(doses))} doses; a curve needs at least {NEEDED}")
    hits, misses = doses[rates > 0], doses[rates < 1]
    if not (len(hits) and len(misses)):
        raise ValueError("every trial came out alike; no curve")
    if not (hits.min() < misses.max() and misses.min() < hits.max()):
        raise ValueError("the dose separates hits from misses; no finite curve")


def _likeliest(design: np.ndarray, rates: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(weights, fitted rates, covariance of the weights): the maximum of the binomial likelihood, which is concave."""
    from scipy.optimize import minimize
    from scipy.special import expit

    def loss(weights):
        odds = design @ weights
        return (np.logaddexp(0, odds) - rates * odds).sum(), design.T @ (expit(odds) - rates)

    def curvature(weights):
        fitted = expit(design @ weights)
        return design.T @ (design * (fitted * (1 - fitted))[:, None])

    weights = minimize(loss, np.zeros(design.shape[1]), jac=True, hess=curvature, method="trust-exact", tol=1e-9).x
    return weights, expit(design @ weights), np.linalg.inv(curvature(weights))
