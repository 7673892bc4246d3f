"""transformers' own classes, looked up when a step is built, and called as they expect: on rectangles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..contracts.errors import InvalidInput, Unavailable

OnRectangle = Callable[[Tensor, Tensor, int, list[int]], Tensor]
"""(G, T) int64, (G, V), the length of the prompt, the places of the rows -> (G, V)."""


def hf_class(name: str, step: str) -> Any:
    """The class `name` of the installed transformers. Raises `Unavailable` naming its version where it has none."""
    import transformers  # noqa: PLC0415  # lazy: it takes seconds, and few recipes need it
    from transformers.generation import logits_process  # noqa: PLC0415

    found = getattr(logits_process, name, None)
    if found is None:
        raise Unavailable(
            f"{step}: transformers {transformers.__version__} has no {name}",
            remedy="transformers 4.57 to 5.24 have it: pip install 'transformers>=4.57,<=5.24'",
        )
    return found


def on_rectangles(
    call: OnRectangle, input_ids: Tensor, scores: Tensor, lengths: Tensor, prompt_lengths: Tensor
) -> Tensor:
    """Call once for each set of rows that agree in length and in prompt length, padding cut off.

    (R, T) int64, (R, V), (R,) int64, (R,) int64 -> (R, V). Looks at the lengths on the host.
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for row, (length, prompt) in enumerate(torch.stack((lengths, prompt_lengths), 1).tolist()):
        groups.setdefault((length, prompt), []).append(row)
    if len(groups) == 1:
        ((length, prompt), rows), *_ = groups.items()
        return call(input_ids[:, :length], scores, prompt, rows)
    merged = scores.clone()
    for (length, prompt), rows in groups.items():
        at = torch.tensor(rows, device=scores.device)
        merged[at] = call(input_ids[at, :length], scores[at], prompt, rows)
    return merged


def one_eos(step: str, given: int | None, eos: Sequence[int]) -> int:
    """The end-of-sequence token of a class that knows one only. Raises `InvalidInput` where none is known."""
    if given is None and not eos:
        raise InvalidInput(
            f"{step}: no end-of-sequence token is known", remedy="Decoder(..., eos_token_id=...)"
        )
    return eos[0] if given is None else given
