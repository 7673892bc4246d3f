"""One session's way into a model: eval mode, one grad mode, logits out as copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from ..contracts.errors import ModelError
from .calling import Call, name_of, run
from .compiling.compiled import Compiled, as_compiled_for
from .compiling.text import Text
from .keeping.module import EvalMode
from .outputs import as_logits


class Forward:
    """Calls `model` on behalf of one session, from construction until `close()`.

    `compiled` is the same model, for calls with one token a row.
    `width` is the vocabulary that the user told: ids beyond it are padding, and their logits are cut off.
    All calls of a session share one grad mode, that of its opening, or inference mode where the session says so: a
    cache that a model makes in inference mode cannot be written outside it.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        call: Call,
        evaluation: EvalMode,
        device: torch.device,
        width: int | None = None,
        compiled: Compiled | None = None,
        inference: bool = False,
    ) -> None:
        self._compiled = None if compiled is None else Text(compiled)
        self._model, self._call, self._evaluation, self._device = model, call, evaluation, device
        self._width = width
        self._name = name_of(model)
        self._inference = inference or torch.is_inference_mode_enabled()
        self._open = True
        evaluation.hold()

    def mode(self) -> AbstractContextManager[None]:
        """The session's grad mode: whatever makes or writes caches runs in it."""
        if not torch.is_grad_enabled() and torch.is_inference_mode_enabled() == self._inference:
            return nullcontext()  # the run is in it already: entering costs as much as a small layer
        return torch.inference_mode() if self._inference else _mode()

    def run(self, ids: Tensor, inputs: dict[str, Any]) -> object:
        """(B, T) int64 and further arguments by name -> whatever the model returns."""
        if not self._open:
            raise ModelError(
                f"a session of {self._name} was used after it had been closed",
                remedy="a model with a cache of its own serves one text at a time: end a stream before the next "
                "begins, or give another decoder copy.deepcopy(model)",
            )
        model, ids = self._model, ids.to(self._device)
        with self.mode():
            if self._compiled is not None and ids.shape[1] == 1:
                model, ids = self._compiled, as_compiled_for(ids)
            return run(model, self._call, ids, inputs, self._name)

    def again(self, ids: Tensor, columns: int, inputs: dict[str, Any]) -> Tensor | None:
        """`logits` of one token a row, by the graph that the call before has run, no code of the model being called;
        None where there is none. For models whose steps are the same code on the same memory."""
        if self._compiled is None or ids.shape[1] != 1 or not self._open:
            return None
        with self.mode():
            own = as_compiled_for(ids.to(self._device))
            output = run(self._compiled.again, self._call, own, inputs, self._name)
        if output is None:
            return None
        return self.found_in(output, *ids.shape)[:, -columns:].clone()

    def forget(self) -> None:
        """The model's memory is another from now on: `again` must not write to the one that was."""
        if self._compiled is not None:
            self._compiled.forget()

    def logits(self, ids: Tensor, columns: int, inputs: dict[str, Any]) -> Tensor:
        """(B, T) int64 -> the newest `columns` positions (B, K, V), or fewer if that is the answer."""
        batch, length = ids.shape
        logits = self.found_in(self.run(ids, inputs), batch, length)
        # A copy: the model may write its next answer into the same memory, and a view keeps all T positions.
        return logits[:, -columns:].clone()

    def found_in(self, output: object, batch: int, length: int) -> Tensor:
        """What the model returned for ids (batch, length) -> logits (B, T', V), a view."""
        with self.mode():  # a head that was handed over is called here
            answer = self._call.logits_of(output)
        logits = as_logits(answer, batch, length, self._name, self._call.time_first)
        # Of a model spread over devices the last part answers; the run's buffers are where the ids came from.
        logits = logits.to(self._device)
        return logits if self._width is None else logits[..., : self._width]

    def close(self) -> None:
        if self._open:
            self._open = False
            self.forget()
            self._evaluation.release()


@contextmanager
def _mode() -> Iterator[None]:
    with torch.inference_mode(False), torch.no_grad():
        yield


def one_by_one(tokens: Tensor) -> list[Tensor]:
    """(B, K) int64 -> K columns (B, 1)."""
    return [tokens[:, k : k + 1] for k in range(tokens.shape[1])]


def uniform_count(counts: Tensor) -> int:
    """(B,) int64 -> the number they share: sessions whose rows have one length can take back nothing else."""
    values = counts.tolist()
    if not values or len(set(values)) != 1 or values[0] < 0:
        raise ModelError(
            f"this session takes back the same number of tokens in every row, not {values}",
            remedy="rewind by the smallest count and feed the surplus again",
        )
    return int(values[0])


def refuse_mask(attention_mask: Tensor | None, model: object) -> None:
    """(B, T) or None: for sessions that have no way of passing a mask on."""
    if attention_mask is not None:
        raise ModelError(
            f"{name_of(model)} takes no attention mask, so prompts cannot be padded",
            remedy="feed prompts of equal length, or their common length first and then token by token",
        )


def check_context(needed: int, limit: int | None, model: object) -> None:
    """Stop before a call that the model could only answer with an index error."""
    if limit is not None and needed > limit:
        raise ModelError(
            f"{needed} tokens exceed the context of {name_of(model)}, {limit}",
            remedy="shorten the prompt or generate fewer tokens; Decoder(max_length=...) if it can take more",
        )
