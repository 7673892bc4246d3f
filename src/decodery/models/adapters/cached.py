"""What every model with state has in common: sessions that feed new tokens, go back, and take rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from ...contracts.errors import ModelError
from ...contracts.protocols import Capabilities, ModelFacts, Options
from ..calling import Call, call_of, module_of, name_of
from ..compiling.compiled import Compiled
from ..facts import facts_of, window_of
from ..forward import Forward, check_context, one_by_one, refuse_mask, uniform_count
from ..keeping.module import EvalMode
from ..options import check_width, if_it_answers, told_width
from ..state.handling import Handling
from ..state.tree import Leaf, Path

RewindBy = Literal["", "crop", "counter", "replay"]


class CachedModel:
    """A model whose sessions keep state. Subclasses open the sessions, find out how, and verify.

    chunks    several tokens a call are right after the first call
    single    one token a call is all that the model takes
    handling  how rows and tokens of its state are taken, as far as that was found and proved
    """

    shared = True
    """Several sessions may be open at once: the state is in their hands."""

    def __init__(self, model: Callable[..., Any], options: Options) -> None:
        self.model = model
        self.call: Call = call_of(model, options)
        self.module = module_of(model)
        self.evaluation = EvalMode(self.module)
        self.chunks = self.single = False
        self.handling = Handling()
        self.rewinds: RewindBy = "replay"
        self.difference: float | None = None
        self.compared = 0
        self.width: int | None = None
        self.window = window_of(model)
        self.compiled: Compiled | None = None
        self._facts = facts_of(
            model, options, Capabilities(rewind="uniform", rewind_by="replay", shared=self.shared)
        )

    @property
    def facts(self) -> ModelFacts:
        return self._facts

    def forward(self) -> Forward:
        """A way into the model for one session."""
        return Forward(self.model, self.call, self.evaluation, self._facts.device, self.width, self.compiled)

    def adopt(self, *, select: bool, rewinds: RewindBy) -> None:
        """What was proved becomes what the facts promise."""
        self.rewinds = rewinds
        can = Capabilities(select=select, rewind="uniform", rewind_by=rewinds, shared=self.shared)
        self._facts = replace(self._facts, capabilities=can)

    def settle_vocabulary(self, options: Options, ask: Callable[[], int]) -> None:
        """The user's word, held against the answer's width; else what the model says; else that width."""
        if (told := told_width(options, self.model)) is not None:
            check_width(told, if_it_answers(ask), name_of(self.model))
            self.width = told
        elif self._facts.vocab_size is None:
            self._facts = replace(self._facts, vocab_size=ask())


class CachedSession:
    """Feeds new tokens only, and keeps the ids, (B, T) int64, to feed them again where the state cannot go back.

    Subclasses say how a call is made (`_feed`), and how the state is begun anew, cut and reordered.
    """

    def __init__(self, owner: CachedModel, batch_size: int) -> None:
        self._cached = owner
        self._ids = torch.zeros(batch_size, 0, dtype=torch.long, device=owner.facts.device)
        self._inputs: dict[str, Any] = {}

    @property
    def rows(self) -> int:
        """B, the rows that it decodes now."""
        return self._ids.shape[0]

    # -- what a subclass says ----------------------------------------------------------------------------------

    def _feed(self, ids: Tensor, start: int, columns: int) -> Tensor:
        """(B, K) int64 at position `start` -> the newest `columns` positions or fewer, (B, K', V)."""
        raise NotImplementedError

    def _restart(self, batch_size: int) -> None:
        """Forget everything; the next call begins at position 0."""
        raise NotImplementedError

    def leaves(self) -> dict[Path, Leaf]:
        """Every tensor and number of the state."""
        raise NotImplementedError

    def take_back(self, count: int) -> None:
        """The newest `count` tokens, out of the state."""
        raise NotImplementedError

    def take_rows(self, rows: Tensor) -> None:
        """(B',) int64: the state's row i becomes what row `rows[i]` was."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    # -- a session ---------------------------------------------------------------------------------------------

    def prefill(self, input_ids: Tensor, attention_mask: Tensor | None = None, **model_inputs: Any) -> Tensor:
        """(B, T) int64 -> (B, V)."""
        refuse_mask(attention_mask, self._cached.model)
        self._inputs = model_inputs
        return self._whole(input_ids)

    def step(self, tokens: Tensor) -> Tensor:
        """(B, K) int64 -> (B, K, V)."""
        if tokens.shape[1] == 1 or self._cached.chunks:
            return self.advance(tokens, tokens.shape[1])
        return torch.cat([self.advance(token, 1) for token in one_by_one(tokens)], dim=1)  # -> (B, K, V)

    def select(self, rows: Tensor) -> None:
        """(B',) int64: reorder, repeat or drop rows."""
        if not self._cached.facts.capabilities.select:
            raise ModelError(
                f"rows of the state of {name_of(self._cached.model)} cannot be reordered",
                remedy="feed the rows again in a new session",
            )
        rows = rows.to(self._ids.device)
        self.take_rows(rows)
        self._ids = self._ids[rows]

    def rewind(self, counts: Tensor) -> None:
        """(B,) int64, all equal. Where the state cannot be cut, what is left is fed again."""
        count = uniform_count(counts)
        if not count:
            return
        kept = self._ids[:, : self._ids.shape[1] - count]
        if self._cached.rewinds != "replay":
            self.take_back(count)
            self._ids = kept
            return
        self._restart(len(kept))
        self._ids = kept[:, :0]
        if kept.shape[1]:
            self._whole(kept)

    def held(self) -> int:
        """See `Session`."""
        rows = self._cached.handling.rows
        return sum(
            leaf.nbytes for path, leaf in self.leaves().items() if path in rows and isinstance(leaf, Tensor)
        )

    def advance(self, ids: Tensor, columns: int) -> Tensor:
        """(B, T) int64, the next columns, in one call -> the newest `columns` positions or fewer, (B, K, V)."""
        start = self._ids.shape[1]
        check_context(start + ids.shape[1], self._cached.facts.max_length, self._cached.model)
        ids = ids.to(self._ids.device)
        logits = self._feed(ids, start, columns)
        self._ids = torch.cat([self._ids, ids], dim=1)  # (B, T) + (B, K) -> (B, T + K)
        return logits

    def cut(self, count: int) -> None:
        """`take_back` and the ids with it: what a verification tries."""
        self.take_back(count)
        self._ids = self._ids[:, : self._ids.shape[1] - count]

    def reordered(self, rows: Tensor) -> None:
        """`take_rows` and the ids with it: what a verification tries."""
        self.take_rows(rows)
        self._ids = self._ids[rows]

    def _whole(self, ids: Tensor) -> Tensor:
        """The prompt, (B, T) -> (B, V)."""
        for token in one_by_one(ids)[:-1] if self._cached.single else ():
            self.advance(token, 1)
        return self.advance(ids[:, -1:] if self._cached.single else ids, 1)[:, -1]
