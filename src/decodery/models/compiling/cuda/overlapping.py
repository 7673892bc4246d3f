"""Kernels that begin while the one before ends: CUDA's programmatic dependent launch, where device and Triton know it.

A kernel launched with `overlapped` may start once every block of the one before has called `release`, and reads what
that one wrote behind `wait` only. Each waits, so that behind `wait` all earlier kernels have ended.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch

try:
    from triton.language.extra import cuda

    release: Any = cuda.gdc_launch_dependents
    wait: Any = cuda.gdc_wait
    KNOWN = True
except (ImportError, AttributeError):  # Triton before 3.3
    release = wait = None
    KNOWN = False


@lru_cache
def overlapped(device: torch.device) -> dict[str, Any]:
    """Keywords of a launch: the kernel's OVERLAPPED and, where it is true, Triton's own."""
    known = KNOWN and torch.version.hip is None and torch.cuda.get_device_capability(device) >= (9, 0)
    return {"OVERLAPPED": True, "launch_pdl": True} if known else {"OVERLAPPED": False}
