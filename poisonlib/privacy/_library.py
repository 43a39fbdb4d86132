"""Google's dp-accounting, an optional dependency. It is imported only when a function needs it."""

import importlib

import numpy as np


def privacy_loss_distributions():
    """Returns the module ``dp_accounting.pld.privacy_loss_distribution``. Raises ImportError if it is not installed."""
    try:
        return importlib.import_module("dp_accounting.pld.privacy_loss_distribution")
    except ImportError as error:
        raise ImportError(
            f"tight accounting needs dp-accounting ({error}): pip install -r requirements-dp.txt. Use a separate "
            "virtual environment, because dp-accounting 0.6 requires a version of attrs below 24, which is too old for Jupyter"
        ) from error


def deltas(curve, epsilon):
    """Evaluates the delta of a dp-accounting privacy-loss distribution at epsilon.

    epsilon is a number or an array in ascending order. The result has the same shape; rounding errors outside [0, 1] are clipped.
    """
    found = np.clip(curve.get_delta_for_epsilon(np.atleast_1d(epsilon).ravel().tolist()), 0, 1)
    return np.asarray(found).reshape(np.shape(epsilon))[()]
