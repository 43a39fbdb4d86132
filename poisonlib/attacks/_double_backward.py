"""Second derivatives with respect to pixels at the cost of 7 forward passes instead of 8.

PyTorch's double backward of a convolution computes a gradient of the weights that crafting does not use, and that of batch
normalisation is bound by memory. In eval mode both layers are linear in their parameters and affine in their input, so a few
calls of the layer itself give every derivative.

It pays by the size of a batch, not by the network: 1.03 to 1.4 times as fast as PyTorch's with 50 images or more of 16 x 16 pixels
(seven networks), but with ten images and a few layers the calls themselves decide, and it is 0.85 to 0.9 times as fast. There a
step takes 2 ms, so there is no second path, and no second set of last bits, for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class ForPixels(TorchFunctionMode):
    """Inside the block, ``torch.autograd.grad(..., create_graph=True)`` returns gradients whose derivatives are cheap.

    They can be differentiated with respect to the network's input only, as weights count as constants; values do not change.
    """

    def __torch_function__(self, function, types, arguments=(), named=None):
        named = named or {}
        if function is F.conv2d:
            return _convolution(*arguments, **named)
        if function is F.batch_norm:
            return _batch_norm(*arguments, **named)
        return function(*arguments, **named)


@dataclass(frozen=True)
class Convolution:
    """``layer(x, weight[, bias])`` with x (n c h w)."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int

    def __call__(self, x, weight, bias=None):
        return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def linear(self, x, weight, bias=None):
        """The part of the layer that is linear in x."""
        return self(x, weight)

    def adjoint(self, g, x, weight, bias=None):
        """The transpose of `linear`, applied to g; only the shape of x is used."""
        return self._gradients(g, x, weight, [True, False, False])[0]

    def backward(self, g, x, weight, bias=None):
        """Gradients of x and of each parameter."""
        return self._gradients(g, x, weight, [True, True, bias is not None])[: 2 if bias is None else 3]

    def _gradients(self, g, x, weight, wanted):
        form = self.stride, self.padding, self.dilation, False, (0, 0), self.groups
        return torch.ops.aten.convolution_backward(g, x, weight, weight.shape[:1], *form, wanted)


@dataclass(frozen=True)
class BatchNorm:
    """``layer(x, weight, bias)`` with x (n c ...) and fixed statistics (c,)."""

    mean: Tensor
    variance: Tensor
    eps: float

    def __call__(self, x, weight, bias):
        return F.batch_norm(x, self.mean, self.variance, weight, bias, False, 0.0, self.eps)

    def linear(self, x, weight, bias):
        return F.batch_norm(x, torch.zeros_like(self.mean), self.variance, weight, None, False, 0.0, self.eps)

    def adjoint(self, g, x, weight, bias):
        return self.linear(g, weight, bias)

    def backward(self, g, x, weight, bias):
        empty = self.mean.new_empty(0)  # saved statistics, of which there are none in eval mode; CUDA's kernel refuses None
        statistics = self.mean, self.variance, empty, empty, False, self.eps
        return torch.ops.aten.native_batch_norm_backward(g, x, weight, *statistics, [True, True, True])


class _Forward(torch.autograd.Function):
    @staticmethod
    def forward(context, layer, x, *parameters):
        context.layer = layer
        context.save_for_backward(x, *parameters)
        return layer(x, *parameters)

    @staticmethod
    def backward(context, g):
        x, *parameters = context.saved_tensors
        if torch.is_grad_enabled():  # the first derivative, with create_graph=True
            return None, *_Backward.apply(context.layer, g, x, *parameters)
        return None, context.layer.adjoint(g, x, *parameters), *(None for _ in parameters)


class _Backward(torch.autograd.Function):
    @staticmethod
    def forward(context, layer, g, x, *parameters):
        context.layer = layer
        context.save_for_backward(g, x, *parameters)
        return layer.backward(g, x, *parameters)

    @staticmethod
    def backward(context, of_x, *of_parameters):
        layer, (g, x, *parameters) = context.layer, context.saved_tensors
        moved = layer.linear(of_x, *parameters).add_(layer(x, *of_parameters))
        return None, moved, layer.adjoint(g, x, *of_parameters), *(None for _ in parameters)


def _convolution(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """``F.conv2d``, whose names these are: a network may call it by them, and with one number for both sides."""
    if isinstance(padding, str):
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    parameters = (weight,) if bias is None else (weight, bias)
    return _Forward.apply(Convolution(*map(_both, (stride, padding, dilation)), groups), *_cast(input, *parameters))


def _both(sides: int | Sequence[int]) -> tuple[int, int]:
    """What is meant for height and width."""
    pair = (sides,) if isinstance(sides, int) else tuple(sides)
    return pair * 2 if len(pair) == 1 else pair


def _batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """``F.batch_norm``, whose names these are."""
    if training or weight is None or bias is None:
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    return _Forward.apply(BatchNorm(running_mean, running_var, eps), input, weight, bias)


def _cast(*tensors: Tensor):
    """Cast as autocast would, but before saving: gradients then use tensors of one type."""
    device = tensors[0].device.type
    if not torch.is_autocast_enabled(device):
        return tensors
    return tuple(tensor.to(torch.get_autocast_dtype(device)) for tensor in tensors)
