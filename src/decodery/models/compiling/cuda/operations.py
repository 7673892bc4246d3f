"""Kernels of ours as operations that a compiled graph can hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

_LIBRARY: Any = torch.library.Library("decodery", "FRAGMENT")  # type: ignore[no-untyped-call]


def operation(kernel: Callable[..., torch.Tensor], like: Callable[..., torch.Tensor]) -> Any:
    """The operation `decodery::<name of kernel>` for CUDA; `like` says what it returns, of tensors without data.

    `torch.library.custom_op` does the same and looks at each call for aliases, which takes 0.17 ms.
    """
    name = kernel.__name__

    def there(first: torch.Tensor, *further: Any, **named: Any) -> torch.Tensor:
        with torch.cuda.device(first.device):  # Triton launches on the current one
            return kernel(first, *further, **named)

    _LIBRARY.define(name + torch.library.infer_schema(kernel, mutates_args=()))
    _LIBRARY.impl(name, there, "CUDA")
    torch.library.register_fake(f"decodery::{name}", like, lib=_LIBRARY)
    return getattr(torch.ops.decodery, name).default
