"""What an adapter gives: a model that opens sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from .facts import ModelFacts

if TYPE_CHECKING:
    from torch import Tensor


class Session(Protocol):
    """One model decoding one batch. Row r's state never mixes with another row's.

    Optional: `step_last(tokens (B, K)) -> (B, V)`, the last column of `step` alone, where that is cheaper; `held() ->
    int`, the bytes of the state that goes with the rows, by which a run sees that so many more cannot be held.
    `select` and `rewind` are called only where the capabilities say so; the engine feeds the history again elsewhere.
    """

    def prefill(self, input_ids: Tensor, attention_mask: Tensor | None = None, **model_inputs: Any) -> Tensor:
        """(B, T) int64 -> (B, V) logits after the last column. `attention_mask` (B, T) is 0 on left padding, and
        given only to sessions with `masks`, under `compat: hf` also with `pads`. Called once, first.

        `model_inputs` are the caller's, a row each where they are tensors that go with the rows. With an encoder
        `input_ids` are the decoder's; `encoder_ids` (B, S) int64 are the prompts, right-padded, and `encoder_mask`
        (B, S) is 0 on their padding, given where there is any."""
        ...

    def step(self, tokens: Tensor) -> Tensor:
        """(B, K) int64, the next K columns -> (B, K, V), which stay as they are until the next step."""
        ...

    def select(self, rows: Tensor) -> None:
        """(B',) int64: row i of the state becomes what row `rows[i]` was; rows may repeat or be dropped, so that there
        are more or fewer than before."""
        ...

    def rewind(self, counts: Tensor) -> None:
        """(B,) int64: forget that many of the newest columns, all the same unless the capability is "ragged"."""
        ...

    def close(self) -> None:
        """Gives caches back. Called once, last."""
        ...


class StaticSession(Session, Protocol):
    """A session with the capability `static`: its state stays where it is, so that a CUDA graph can hold a step."""

    def hold_place(self) -> None:
        """The next column's place is put where `tick` finds it. Called after other steps, before the first tick."""
        ...

    def tick(self, tokens: Tensor) -> Tensor:
        """(B, 1) int64 -> (B, V), like `step`, with nothing asked of the host: the place is read and moved on in
        device memory, so that what is captured goes on at each replay."""
        ...

    @property
    def unticks(self) -> bool:
        """Whether ticks can be taken back."""
        ...

    def untick(self, count: int) -> None:
        """The place goes back by so many ticks, and the next ones overwrite what those have written."""
        ...

    def ticked(self, tokens: Tensor) -> None:
        """(B, K) int64: what the ticks since `hold_place` were given, but for those taken back, before anything but a
        tick is called."""
        ...


class WatchedSession(Session, Protocol):
    """A session with the capability `hidden`."""

    def watch(self, layers: Sequence[int]) -> None:
        """Called before `prefill`, only where the capabilities say `hidden`: keep the outputs of these layers."""
        ...

    def hidden(self) -> Tensor:
        """(L, B, K, H): what the layers being watched gave for the columns of the last call."""
        ...


class DecodableModel(Protocol):
    """What an adapter's factory returns: a model that opens sessions.

    Optional: `head(states (..., H)) -> (..., V)`, the output layer, beside sessions that tell hidden states.
    """

    @property
    def facts(self) -> ModelFacts: ...

    def open(self, batch_size: int, length: int | None) -> Session:
        """A session for `batch_size` rows of at most `length` tokens (None: not known)."""
        ...


Options = Mapping[str, Any]
"""An adapter's options: those of `Decoder(adapter={"name": ..., **options})` and what `Decoder` was told of the
model (vocab_size, max_length, device)."""
