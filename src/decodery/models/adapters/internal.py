"""Models that keep their state themselves, in the module: set up, watched, given back. One session at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ...contracts.errors import ModelError
from ...contracts.protocols import Options
from ..caches import CacheControl, Size
from ..calling import name_of
from ..compiling.compiled import room_for
from ..forward import Forward, one_by_one
from ..inference import untouched
from ..keeping.journal import Journal
from ..keeping.module import left_as_found
from ..keeping.turns import turns_on
from ..probing.learn import PRIMES, changes, learn
from ..probing.verify import Truth, chunks_hold, difference, rewind_holds, rows_follow, truth_of
from ..state.handling import Handling, copied
from ..state.tree import Leaf, Path, leaves, mapped, of_module
from .cached import CachedModel, CachedSession, RewindBy

WATCHED = 3
"""Calls after a set-up whose every change to the module is noted."""
UNKNOWN_LENGTH = 1024
"""Positions that a cache gets at first when nobody says how long the text will be."""
OWN = ("setup", "verify")
"""Options of all these adapters."""


class Disagrees(ModelError):
    """Steps with the cache are not those of the whole context."""


class NoCache(ModelError):
    """There is no cache to use, true or not."""


class InternalModel(CachedModel):
    """The state is in the module. Subclasses say what a call is given beside the ids.

    The cache is verified once, by `verify_and_adopt`: cached steps against the whole context, on random tokens;
    then rows and tokens are tried. Options: `setup` (further arguments of the set-up method), `verify` (False to
    trust the cache: one token a call, then, and what goes back is fed again).
    """

    called = "keeps a cache"
    shared = False
    repeats = False
    """Steps are the same code on the same memory; see `Forward.again`."""

    def __init__(self, model: Callable[..., Any], options: Options, rows: int = 2) -> None:
        super().__init__(model, options)
        self.tried_rows = rows
        self.cache = CacheControl(self.module, options.get("setup"))
        # The module's, since several decoders may share it, and its one cache.
        self.turns = turns_on(self.module)

    def arguments(self, session: InternalSession, start: int, count: int) -> dict[str, Any]:
        """What the call for the next `count` tokens is given beside them."""
        raise NotImplementedError

    def open(self, batch_size: int, length: int | None) -> InternalSession:
        """There is one cache: this thread's earlier session ends here, another thread's is waited for.

        Raises `ModelError` when that one makes no calls for long.
        """
        return InternalSession(self, batch_size, length)

    def settle(self, options: Options, plain: Callable[[Tensor], Tensor] | None) -> None:
        """Vocabulary, verification, abilities. Raises `ModelError` when cache and context disagree."""
        with left_as_found(self.module):
            self.settle_vocabulary(options, self._asked_vocab_size)
            if options.get("verify", True):
                self._verify(plain)

    def plainly(self, ids: Tensor) -> Tensor:
        """(B, T) int64 -> (B, T', V): the model called with ids alone, no cache in use."""
        forward = self.forward()
        try:
            return forward.logits(ids, ids.shape[1], {})
        finally:
            forward.close()

    def plain_call(self) -> Callable[[Tensor], Tensor] | None:
        """`plainly`, if a trial allows that."""
        try:
            self.plainly(torch.zeros(1, 3, dtype=torch.long))
        except ModelError:
            return None
        return self.plainly

    def _verify(self, plain: Callable[[Tensor], Tensor] | None) -> None:
        facts, opened, single = self._facts, self.open, self.single
        truth = truth_of(
            opened,
            facts.vocab_size,
            facts.max_length,
            plain,
            rows=self.tried_rows,
            single=single,
            window=self.window,
            dtype=facts.dtype,
        )
        if truth.compared < 3:
            return
        self.difference = difference(opened, truth, single)
        self.compared = truth.compared if truth.plain or not single else 0
        if self.difference > truth.allowed:
            if not self.cache.found and self.module is not None and not self._changes():
                raise NoCache(f"{name_of(self.model)} {self.called}, and keeps nothing between calls")
            raise Disagrees(
                f"{name_of(self.model)} {self.called}, but steps with its cache are not those of the whole "
                f"context: log-probabilities differ by {self.difference:.3g} (rounding explains "
                f"{truth.allowed:.3g})",
                remedy="adapter='stateless' feeds the whole context each step and needs no cache",
            )
        self.chunks = not single and chunks_hold(opened, truth)
        found = self._learnt()
        self.handling, self.rewinds = self._going_back(truth, found)
        self.handling = replace(self.handling, rows=found.rows, pools=found.pools, others=found.others)
        select = bool(found.rows or found.pools) and rows_follow(opened, truth, single)
        self.adopt(select=select, rewinds=self.rewinds)
        self.try_ticks(truth)

    def try_ticks(self, truth: Truth) -> None:
        """Whether a step can be made without asking the host, which most of these models cannot."""

    def _changes(self) -> bool:
        """A call leaves something in the module."""
        seen = changes(self.open, self._facts.vocab_size)
        return seen is None or bool(seen)

    def _learnt(self) -> Handling:
        batches = PRIMES if self.tried_rows > 1 else (1,)
        return learn(self.open, self._facts.vocab_size, batches, single=self.single, every=False)

    def _going_back(self, truth: Truth, found: Handling) -> tuple[Handling, RewindBy]:
        """By our count of places alone, else by what was seen to grow or count, else by feeding again."""
        ways: list[tuple[Handling, RewindBy]] = [(Handling(), "counter")]
        if found.rewinds_by:
            ways.append((found, found.rewinds_by))
        for handling, by in ways:
            self.handling = handling
            if rewind_holds(self.open, truth, self.single):
                return handling, by
        return Handling(), "replay"

    def _asked_vocab_size(self) -> int:
        session = self.open(1, 1)
        try:
            return session.advance(torch.zeros(1, 1, dtype=torch.long), 1).shape[-1]
        finally:
            session.close()


class InternalSession(CachedSession):
    """Counts positions; keys and values are in the model. Ids are kept to fill a cache that had to grow."""

    def __init__(self, owner: InternalModel, batch_size: int, length: int | None) -> None:
        super().__init__(owner, batch_size)
        self._owner = owner
        self.capacity = self._calls = 0
        self._closed = True
        self._turn = owner.turns.take(self.close, name_of(owner.model))
        self._closed = False
        self._journal = Journal(owner.module)
        self._forward: Forward = owner.forward()
        # Hooks are called for each token.
        self._repeats = owner.repeats and owner.module is not None and untouched(owner.module)
        try:
            with owner.turns.using(self._turn):
                self._prepare(batch_size, length or UNKNOWN_LENGTH)
        except BaseException:
            self.close()
            raise

    def leaves(self) -> dict[Path, Leaf]:
        """Every tensor and number below the module that is no weight."""
        return leaves(dict(self._state()))

    def take_back(self, count: int) -> None:
        """What lies beyond the counter is overwritten; lists that grow are cut."""
        handling = self._owner.handling
        if handling.grows or handling.counts:
            self._change(lambda path, leaf: handling.without(count, path, leaf))

    def take_rows(self, rows: Tensor) -> None:
        """(B',) int64. Another number of rows is set up anew, as the model may have noted the old one."""
        handling = self._owner.handling
        if len(rows) == self.rows or not self._owner.cache.sized:
            self._change(lambda path, leaf: handling.taking(rows, path, leaf))
            return
        with self._forward.mode():
            state = {*handling.rows, *handling.pools, *handling.others}
            kept = {
                path: handling.taking(rows, path, leaf)
                for path, leaf in copied(self.leaves()).items()
                if path in state
            }
        with self._owner.turns.using(self._turn):
            self._prepare(len(rows), self.capacity)
        self._change(kept.get)

    def spare(self) -> None:
        """It is kept for what may come, and any thread may end it before."""
        self._owner.turns.spare(self._turn)

    def close(self) -> None:
        """Clears the cache and puts the module back as it was when the session was opened."""
        with self._owner.turns.still():
            if self._closed:
                return
            self._closed = True
            try:
                with self._forward.mode(), self._journal.recording():
                    self._owner.cache.reset()
                self._journal.undo()
            finally:
                self._forward.close()
                self._owner.turns.leave(self._turn)

    def __del__(self) -> None:
        # Whoever lets go of a session without closing it gets the module back all the same.
        self.close()

    def _feed(self, ids: Tensor, start: int, columns: int) -> Tensor:
        with self._owner.turns.using(self._turn):
            if start + ids.shape[1] > self.capacity and not self._closed:
                self._prepare(len(ids), max(start + ids.shape[1], 2 * self.capacity))
                pieces = one_by_one(self._ids) if self._owner.single else [self._ids] if start else []
                for at, piece in enumerate(pieces):
                    self._logits(piece, at, 1)
            return self._logits(ids, start, columns)

    def _restart(self, batch_size: int) -> None:
        with self._owner.turns.using(self._turn):
            if not self._closed:
                self._prepare(batch_size, self.capacity)

    def _logits(self, ids: Tensor, start: int, columns: int) -> Tensor:
        # What a prompt came with (features, say) belongs to the call that feeds the prompt.
        extra = self._inputs if start == 0 else {}
        # What a call changes is seen in the first ones; later ones are only watched for that.
        self._calls += 1
        journal, owner = self._journal, self._owner
        if self._repeats and not extra:
            again = self._forward.again(ids, columns, owner.arguments(self, start, ids.shape[1]))
            if again is not None:
                return again
        with journal.recording() if self._calls <= WATCHED else journal.following():
            given = {**owner.arguments(self, start, ids.shape[1]), **extra}
            return self._forward.logits(ids, columns, given)

    def _prepare(self, batch_size: int, length: int) -> None:
        facts = self._owner.facts
        length = min(length, facts.max_length or length)
        if self._owner.compiled is not None:
            length = room_for(length, facts.max_length)
        self._calls = 0
        self._forward.forget()
        # What an earlier filling left, a counter that the reset forgets for example, is taken back first.
        self._journal.undo()
        with self._forward.mode(), self._journal.recording():
            self._owner.cache.prepare(Size(batch_size, length, facts.device, facts.dtype))
        self._owner.evaluation.renew()
        self.capacity = length if self._owner.cache.sized else 2**62

    def _state(self) -> dict[tuple[str, str], Any]:
        return of_module(self._owner.module)

    def _change(self, change: Callable[[Path, Leaf], Leaf]) -> None:
        """Put `change(path, leaf)` in every leaf's place."""
        self._forward.forget()
        with self._owner.turns.using(self._turn), self._forward.mode(), self._journal.recording():
            state = self._state()
            for key, after in mapped(state, change).items():
                if after is not state[key]:
                    _put(self._owner.module, key[0], key[1], after)


def _put(module: nn.Module | None, name: str, attribute: str, value: object) -> None:
    part = module.get_submodule(name) if module is not None else None
    if part is not None and attribute in part._buffers:
        part._buffers[attribute] = value  # type: ignore[assignment]
    elif part is not None:
        vars(part)[attribute] = value
