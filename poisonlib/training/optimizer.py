"""The optimizer of a recipe: groups of parameters with rates of their own, and the rates of each step."""

from collections.abc import Iterable, Iterator

import torch
from torch.nn import Parameter

from .muon import Muon
from .recipe import Recipe


def make_optimizer(recipe: Recipe, parameters: Iterable[Parameter], head: Iterable[Parameter] = ()) -> torch.optim.Optimizer:
    """The optimizer for the parameters that are trained; ``head``: those of the head among them.

    Raises ValueError where there is none.
    On CUDA the rates of SGD and Muon are tensors, so that a captured step reads the rates of the step in which it is replayed.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    if not trained:
        raise ValueError("the network has no parameter with requires_grad=True: there is nothing to train")
    groups = list(_groups(recipe, trained, {id(parameter) for parameter in head}))
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups)
    if on_cuda := trained[0].is_cuda:
        groups = [group | {"lr": torch.tensor(group["lr"], device=trained[0].device)} for group in groups]
    kind = Muon if recipe.optimizer == "muon" else torch.optim.SGD
    return kind(groups, momentum=recipe.momentum, nesterov=recipe.nesterov, fused=on_cuda or None)


def _groups(recipe: Recipe, parameters: list[Parameter], head: set[int]) -> Iterator[dict]:
    """The parameters by kind, each with its peak rate and a weight decay by which ``lr * weight_decay`` is the recipe's; those that
    Muon steps on do not decay.
    """
    if recipe.optimizer != "muon" and recipe.lr_bias is recipe.lr_head is None:
        yield _group(recipe, parameters, recipe.lr)
        return
    weights = [parameter for parameter in parameters if parameter.ndim > 1]
    filters = _group(recipe, [parameter for parameter in weights if id(parameter) not in head], recipe.lr)
    if recipe.optimizer == "muon":
        filters |= {"filter_momentum": recipe.filter_momentum, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
    biases = _group(recipe, [parameter for parameter in parameters if parameter.ndim <= 1], recipe.lr_bias)
    heads = _group(recipe, [parameter for parameter in weights if id(parameter) in head], recipe.lr_head)
    yield from (group for group in (filters, biases, heads) if group["params"])


def _group(recipe: Recipe, members: list[Parameter], lr: float | None) -> dict:
    rate = recipe.lr if lr is None else lr
    return {"params": members, "lr": rate, "peak": rate, "weight_decay": recipe.weight_decay * (recipe.lr / rate)}


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Multiply the peak rate of each group by a factor; in place where rates are tensors."""
    for group in optimizer.param_groups:
        rate = group["peak"] * factor
        if torch.is_tensor(group["lr"]):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
