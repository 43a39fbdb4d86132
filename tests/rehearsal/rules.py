"""What CUDA does otherwise than a CPU: operations that wait, that are not repeatable, that draw from another generator, or that
have other names.
"""

import torch
from torch import Tensor

aten = torch.ops.aten

WAITS = {  # the host needs a value, or the size of a result, that the device has yet to compute
    "_local_scalar_dense",
    "_unique2",
    "bincount",
    "equal",
    "is_nonzero",
    "linalg_eigh",
    "_linalg_eigh",
    "masked_select",
    "nonzero",
    "unique_consecutive",
    "unique_dim",
}

NOT_REPEATABLE = {  # raise where torch is to be deterministic: the documentation of `torch.use_deterministic_algorithms`
    "_adaptive_avg_pool2d_backward",
    "_adaptive_avg_pool3d_backward",
    "_ctc_loss_backward",
    "adaptive_max_pool2d_backward",
    "avg_pool3d_backward",
    "fractional_max_pool2d_backward",
    "fractional_max_pool3d_backward",
    "grid_sampler_2d_backward",
    "grid_sampler_3d_backward",
    "histc",
    "kthvalue",
    "max_unpool2d",
    "max_unpool3d",
    "nll_loss2d_forward",
    "put_",
    "reflection_pad1d_backward",
    "reflection_pad2d_backward",
    "reflection_pad3d_backward",
    "upsample_bicubic2d_backward",
    "upsample_bilinear2d_backward",
    "upsample_linear1d_backward",
    "upsample_trilinear3d_backward",
}

PRODUCTS = {"mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot", "vdot", "addbmm", "addr"}  # of matrices and vectors


def objection(name: str, arguments: tuple) -> str:
    """Why CUDA refuses an operation, or ``""``. ``arguments`` are those of the call, as memory of the CPU."""
    if torch.are_deterministic_algorithms_enabled():
        weighted = name == "bincount" and len(arguments) > 1 and arguments[1] is not None
        median = name == "median" and len(arguments) > 1
        if name in NOT_REPEATABLE or weighted or median:
            return "has no deterministic form on CUDA"
    if name in PRODUCTS and any(isinstance(each, Tensor) and not _has_product(each.dtype) for each in arguments):
        return "is not implemented on CUDA for integers"
    if name == "native_batch_norm_backward" and (arguments[5] is None or arguments[6] is None):
        return "asserts on CUDA that saved statistics are given, be they empty"
    if name == "index_put_" and any(index is not None and index.dtype == torch.bool for index in arguments[1]):
        return ""  # waits, which `waits` says
    return ""


def _has_product(dtype: torch.dtype) -> bool:
    return dtype.is_floating_point or dtype.is_complex


def waits(name: str, arguments: tuple) -> bool:
    """Whether the host waits for an operation on the device."""
    masked = name in ("index", "index_put_", "_index_put_impl_") and any(
        index is not None and index.dtype in (torch.bool, torch.uint8) for index in arguments[1]
    )
    return name in WAITS or masked


def cudnn_batch_norm(x, weight, bias, mean, variance, training, momentum, eps):
    out, *saved = aten.native_batch_norm(x, weight, bias, mean, variance, training, momentum, eps)
    return out, *saved, x.new_empty(0, dtype=torch.uint8)


def cudnn_batch_norm_backward(x, gradient, weight, mean, variance, saved_mean, saved_variance, eps, reserve):
    wanted = [True, True, True]
    return aten.native_batch_norm_backward(gradient, x, weight, mean, variance, saved_mean, saved_variance, True, eps, wanted)


def native_dropout(x: Tensor, p: float, train: bool | None):
    """In the order of a CPU's dropout: draw, divide, multiply. CUDA makes one kernel of it."""
    if train is False:
        return x.clone(), torch.ones_like(x, dtype=torch.bool)
    kept = torch.empty_like(x).bernoulli_(1 - p)
    return x * (kept / (1 - p)), kept.bool()


def native_dropout_backward(gradient: Tensor, kept: Tensor, scale: float) -> Tensor:
    return gradient * (kept.to(gradient.dtype) * scale)


def fused_sgd(
    parameters, gradients, buffers, *, weight_decay, momentum, lr, dampening, nesterov, maximize, is_first_step, **scaling
):
    """The update of ``torch.optim.SGD`` tensor by tensor. CUDA makes one kernel of it, which takes tensors of one layout alone."""
    assert not maximize and not dampening and not any(scaling.values())
    for i, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
        if len({_layout(each) for each in (parameter, gradient, *buffers[i : i + 1])}) > 1:
            raise RuntimeError(
                f"fused SGD: {_layout(parameter)} and {_layout(gradient)}, the layouts of parameter and gradient, differ"
            )
        if weight_decay:
            gradient = gradient.add(parameter, alpha=weight_decay)
        if momentum:
            buffers[i].copy_(gradient) if is_first_step else buffers[i].mul_(momentum).add_(gradient)
            gradient = gradient.add(buffers[i], alpha=momentum) if nesterov else buffers[i]
        parameter.add_(gradient, alpha=-float(lr))


def _layout(tensor: Tensor) -> tuple[int, ...]:
    """The strides along sides of more than one element."""
    return tuple(stride for stride, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1)


STAND_INS = {  # what computes on the CPU what CUDA computes under these names
    aten.cudnn_batch_norm.default: cudnn_batch_norm,
    aten.cudnn_batch_norm_backward.default: cudnn_batch_norm_backward,
    aten.native_dropout.default: native_dropout,
    aten.native_dropout_backward.default: native_dropout_backward,
    aten._fused_sgd_.default: fused_sgd,
    aten._fused_sgd_.tensor_lr: fused_sgd,
}
