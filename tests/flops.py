"""Counting multiplications: torch's own formulas, without its hooks on modules, which a gradient of leaves does not stand."""

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class Flops(TorchDispatchMode):
    """Within, ``count`` grows by twice the multiplications of products and convolutions."""

    count = 0

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        result = function(*arguments, **(named or {}))
        if formula := flop_registry.get(function._overloadpacket):
            self.count += formula(*arguments, **(named or {}), out_val=result)
        return result
