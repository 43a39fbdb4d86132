"""How well a filter's scores rank the poisons above the rest, whatever number it removes."""

from jaxtyping import Bool, Float
from torch import Tensor

POINTS = 50


def roc(scores: Float[Tensor, " n"], poisoned: Bool[Tensor, " n"]) -> tuple[list[float], list[float], float] | None:
    """``(fpr, tpr, auc)``: the ROC curve, thinned to at most 50 points, and its exact area; None if no image, or every one, is
    poisoned.
    """
    import numpy as np
    from sklearn.metrics import roc_auc_score, roc_curve

    truth, values = poisoned.cpu().numpy(), scores.detach().double().cpu().numpy()
    if truth.all() or not truth.any():
        return None
    fpr, tpr, _ = roc_curve(truth, values)
    kept = np.unique(np.linspace(0, len(fpr) - 1, POINTS).round().astype(int))
    return fpr[kept].tolist(), tpr[kept].tolist(), float(roc_auc_score(truth, values))
