"""A module's forward in inference mode: a tenth less for a small model's call, and no trace of it afterwards.

What is made in inference mode can never meet gradients, so it must not reach anybody: logits come out as ordinary
tensors, and what a forward left on the module is replaced.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules import module as registry

from .calling import module_of


def plain_module(model: object) -> bool:
    """A module itself, no wrapper, of plain weights: what others make of inference mode is theirs to know."""
    return (
        isinstance(model, nn.Module)
        and module_of(model) is model
        and all(type(weight) is nn.Parameter for weight in model.parameters())
    )


def untouched(module: nn.Module) -> bool:
    """Nobody looks into the forward: no hooks, which may keep what they see, no forward of an object's own, nothing
    compiled in place."""
    if registry._global_forward_hooks or registry._global_forward_pre_hooks:
        return False
    for part in module.modules():
        if part._forward_hooks or part._forward_pre_hooks or "forward" in part.__dict__:
            return False
        if part._compiled_call_impl is not None:
            return False
    return True


def ordinary(made: Tensor) -> Tensor:
    """A tensor of inference mode as one like any other, in the same memory."""
    twin = torch.empty(0, dtype=made.dtype, device=made.device)
    return twin.set_(made.untyped_storage(), made.storage_offset(), made.shape, made.stride())


def mend(module: nn.Module) -> None:
    """What a forward kept on the module becomes ordinary: buffers of a rotary embedding that grew, tables of masks. In
    the attributes themselves, and in dicts and lists among them."""
    for part in module.modules():
        for value in part.__dict__.values():
            kind = type(value)
            if kind is Tensor:
                made = value.is_inference()
            elif kind is dict or kind is list:
                made = bool(value) and any(map(_made, value.values() if kind is dict else value))
            else:
                continue
            if made:
                _mend(part)
                break


def _mend(part: nn.Module) -> None:
    with torch.inference_mode(False):
        for held in (part.__dict__, *part.__dict__.values()):
            if isinstance(held, dict):
                held.update({name: value.clone() for name, value in held.items() if _made(value)})
            elif isinstance(held, list):
                held[:] = [value.clone() if _made(value) else value for value in held]


def _made(value: object) -> bool:
    return type(value) is Tensor and value.is_inference()
