"""Whether so many rows can be held at all.

A GPU's allocator says no by itself. On a CPU memory is promised and only taken when it is written to, so a run that is
too wide would be ended by the system, without a word.
"""

from __future__ import annotations

from pathlib import Path

import torch

from ...contracts.errors import InvalidInput

ALWAYS = 2**28
"""Bytes that are not asked about."""
_SCORES = 3
"""Tensors as large as the logits that any step makes: the logits, the scores, and what one is made of the other by."""
_GROUPS = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


def check_room(rows: int, vocab_size: int | None, state: int, device: torch.device) -> None:
    """Refuse rows that cannot fit: their float32 scores, and `state` bytes of the model's. Raises `InvalidInput`."""
    scores = rows * (vocab_size or 0) * 4 * _SCORES
    needed = scores + state
    if device.type != "cpu" or needed < ALWAYS:
        return
    free = free_memory()
    if free is not None and needed > free:
        raise InvalidInput(
            f"{rows:,} rows at once take at least {needed / 2**30:,.1f} GiB ({scores / 2**30:,.1f} of scores, "
            f"{state / 2**30:,.1f} of the model's state), and {free / 2**30:,.1f} GiB are free",
            remedy="fewer beams, samples or prompts at once, or fewer new tokens",
        )


def free_memory() -> int | None:
    """Bytes that this process may still take, as far as Linux tells; None elsewhere."""
    found = [_of_machine(), *(_of_group(*names) for names in _GROUPS)]
    return min((free for free in found if free is not None), default=None)


def _of_machine() -> int | None:
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _of_group(most: str, used: str, stat: str, root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What a container may still take; a limit that is "max" is none. What files that were read take is given up for
    it."""
    numbers = [next(iter(_lines(root / name)), "") for name in (most, used)]
    if not all(number.isdecimal() for number in numbers):
        return None
    told = dict(line.split(maxsplit=1) for line in _lines(root / stat) if " " in line)
    files = told.get("total_inactive_file", told.get("inactive_file", "0"))
    return int(numbers[0]) - int(numbers[1]) + int(files)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
