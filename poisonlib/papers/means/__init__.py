"""Ways of judging a mean by one value a trial, each with p-values for every bound and the interval that belongs to them.

`Bounded` (values spread in any way in [0, 1]) and `Student` (evenly) are for a number of trials that is fixed beforehand. `Betting`
and `Gaussian` are their counterparts for any number: they stay valid where one looks after each trial and stops when one likes.
"""

from collections.abc import Sequence

import numpy as np

from ._mean import Mean as Mean
from ._mean import Numbers as Numbers
from ._mean import either as either
from .betting import Betting as Betting
from .bounded import Bounded as Bounded
from .gaussian import Gaussian as Gaussian
from .student import Student as Student
from .unpaired import Unpaired as Unpaired
from .unpaired import combined as combined


def mean(values: Sequence | np.ndarray, *, even: bool = False, planned: bool = True, lowest: float = 0.0) -> Mean:
    """The mean of values in [lowest, 1].

    ``even``: they spread evenly about it; ``planned``: their number was fixed before the first was seen. Equal values show no
    spread, so they are taken for any.
    """
    values = tuple(float(each) for each in values)
    spread = even and np.ptp(values) > 1e-9
    kind = (Student if planned else Gaussian) if spread else (Bounded if planned else Betting)
    return kind(values, lowest)


def paired(first: Sequence, second: Sequence, *, even: bool = False, planned: bool = True) -> Mean:
    """The mean of first - second over trials that they share, in the same order; hits and misses or rates in [0, 1]."""
    return mean([a - b for a, b in zip(first, second, strict=True)], even=even, planned=planned, lowest=-1.0)
