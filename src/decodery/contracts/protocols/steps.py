"""What a recipe names: processors and stop rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Processor(Protocol):
    """Hugging Face's own signature, so every HF-style object is one.

    Optional methods: `observe(tokens (R,), active (R,) bool)` after each token, `select(rows (R',))` when rows are
    reordered, repeated or dropped, `rewind(counts (R,))` when tokens are taken back. Applying never changes state;
    `observe` does, and only in active rows.
    """

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) -> (R, V). Returns a new tensor, or `scores` itself when there is nothing to do."""
        ...


class RaggedProcessor(Protocol):
    """A processor with the trait `ragged`: `input_ids` is right-padded, row r has `lengths[r]` tokens."""

    def __call__(
        self, input_ids: Tensor, scores: Tensor, *, lengths: Tensor, prompt_lengths: Tensor
    ) -> Tensor:
        """(R, T) int64, (R, V), (R,) int64, (R,) int64 -> (R, V)."""
        ...


class StopRule(Protocol):
    """HF's StoppingCriteria signature. `ragged` works as for processors; a plain bool answers for all rows.

    Optional method: `limit(prompt_lengths (R,)) -> (R,)`, the greatest length a row can reach under this rule, so
    that buffers and caches are allocated once; `of_newest(tokens (R,), lengths (R,), prompt_lengths (R,)) -> (R,)
    bool`, the same answer from each row's newest token and its length with it, for rules that look at nothing else: a
    strategy asks about many candidates a step, and their texts need not be put together then.
    """

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor | bool:
        """(R, T) int64 ending in the newest token, (R, V) -> (R,) bool."""
        ...
