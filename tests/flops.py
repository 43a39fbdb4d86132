"""Counting operations with torch's own formulas, but without its hooks on modules, which fail where leaves are differentiated."""

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class Flops(TorchDispatchMode):
    """Inside the block, ``count`` grows by two for each multiply-add of matrix products and convolutions."""

    count = 0

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        result = function(*arguments, **(named or {}))
        if formula := flop_registry.get(function._overloadpacket):
            self.count += formula(*arguments, **(named or {}), out_val=result)
        return result
