"""The loop of per-token strategies with its step in a graph. `loop.decode_tokens` is what it must equal."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import cast

import torch

from ...contracts.protocols import StaticSession
from ...host.registry import Host
from ...kernels.backends import Sampling
from ..plan.plan import as_scores
from ..rng import RowRng, TorchRng
from ..run.choice import checked_tokens
from ..run.run import Run
from .body import Body
from .capture import Captured
from .held import Fusable, fusable, held


def decode_in_graph(run: Run, draw: str, host: Host) -> Iterator[None]:
    """Until every row is finished, like `decode_tokens`. `draw` is the strategy's, by its spec.

    The first steps, and rows in lockstep whose prompts are still being fed, go without a graph.
    """
    while not run.done:
        with torch.no_grad():
            steps = GraphedSteps.where_due(run, draw, host)
            if steps is None:
                run.append(run.pick())
        yield
        if steps is not None:
            yield from steps.decode()


class GraphedSteps:
    """One graph of one run, from a step at which all rows stand at one column to the end, or to the end of the
    room in the history."""

    def __init__(self, run: Run, session: StaticSession, draw: str, host: Host) -> None:
        self._run, self._count = run, 0
        self._history, self._plan, self._rng = run._history, run._plan, run.rng
        processors = self._plan.processors
        watched = run._watchers.want_scores or run._watchers.want_steps or draw == "custom" or run._told
        probe = Body(session, self._history, (), 0, "", self._rng, None, everyone=False, pads=False)
        found = held(processors, probe.view(), self._like_scores())
        if found.reason:
            warnings.warn(
                f"compile: {found.reason}, so the graph ends before it", RuntimeWarning, stacklevel=8
            )
        self._by_hand = bool(watched or found.reason)
        self._held = 0 if watched else found.count
        self._sampling: Sampling | None = None
        if draw == "categorical" and not self._by_hand and self._may_fuse():
            fused = fusable(processors, host)
            self._sampling = None if fused is None else self._sampling_of(fused)
            self._held = self._held if fused is None or self._sampling is None else fused.begin
        self._body = Body(
            session,
            self._history,
            processors,
            self._held,
            "" if self._by_hand else draw,
            self._rng,
            self._sampling,
            everyone=run._rectangle,
            pads=run._pads_finished,
        )
        self._body.growing.copy_(run._rows.mask_of(run._rows.unfinished))
        generators: tuple[torch.Generator, ...] = ()
        if isinstance(self._rng, TorchRng) and self._rng.generator is not None:
            generators = (self._rng.generator,)
        elif isinstance(self._rng, RowRng):
            self._rng.uniform()  # what waits for a first use happens here
        device = self._history.tokens.device
        # Torch's numbers are drawn inside only where no sampler draws them.
        self._step = Captured(self._body.step, device, () if self._sampling else generators)
        self._decide = Captured(self._body.decide, device, generators)

    @classmethod
    def where_due(cls, run: Run, draw: str, host: Host) -> GraphedSteps | None:
        """None where a step must be made without a graph first."""
        rows, history = run._rows, run._history
        if run._raw.known or run._vocab is None or not rows.active:
            return None
        if max(history.host_lengths) >= history.tokens.shape[1]:
            return None
        session = run._feed.ticking(rows.unfinished)
        return None if session is None else cls(run, session, draw, host)

    def decode(self) -> Iterator[None]:
        """An item a step."""
        run, history = self._run, self._history
        try:
            while not run.done and max(history.host_lengths) < history.tokens.shape[1]:
                with torch.no_grad():
                    self._one()
                yield
        finally:
            if self._sampling is not None:
                self._sampling.stand(self._count)
            run._feed.ticked(self._count)

    def _one(self) -> None:
        run, rows, body = self._run, self._run._rows, self._body
        rows.activate(rows.everyone if run._rectangle else rows.unfinished)
        self._step()
        self._count += 1
        before = list(run.reasons)
        if self._by_hand:
            self._finished_by_hand()
        else:
            self._told()
        if run.reasons != before:
            body.growing.copy_(rows.mask_of(rows.unfinished))

    def _told(self) -> None:
        """What the graph drew, and what comes of it."""
        run, body = self._run, self._body
        tokens, bad, unsure = body.told.tolist()  # the one wait of a step
        if any(unsure):
            self._plan.undecided(sum(unsure))
            if self._sampling is not None:
                self._sampling.stand(self._count - 1)  # the reference draws the same numbers
            self._decide()
            drawn, bad, _ = body.told.tolist()
            tokens = cast(list[int], drawn)
            if self._sampling is not None:
                self._sampling.observe(torch.where(body.told[2] != 0, body.told[0], -1).unsqueeze(1))
        if any(bad):
            self._judge()
        self._history.count(run._rows.active)
        run._scores.set(None if run._stops.ids_only else as_scores(body.scores))
        drawn = body.told[0].clone() if run._watchers.want_tokens else body.told[0]
        run._follow(drawn, True, tokens)

    def _judge(self) -> None:
        """Names the bad row, or ends it. The steps are shown the text of before this step, as the host counts it."""
        run, history = self._run, self._history
        written, raw = self._body.written.long(), self._body.logits.clone()
        history.lengths -= written
        history.steps -= written
        run._raw.set(raw)
        run._checked(raw, run.process(raw))
        history.lengths += written
        history.steps += written

    def _finished_by_hand(self) -> None:
        """The steps that the graph does not hold, the choice, and what comes of it."""
        run, body = self._run, self._body
        raw = body.logits.clone()
        run._raw.set(raw)
        if self._held:
            scores = body.scores
            for step in self._plan.processors[self._held :]:
                scores = step(run._view(), scores)
            scores = run._checked(raw, scores)
            run._scores.set(scores)
            tokens = checked_tokens(
                run._strategy.choose(scores, run.rng), scores, type(run._strategy).__name__
            )
        else:
            tokens = run.pick()
        mask = run._rows.mask
        run.append(tokens)
        body.replace(tokens, mask)

    def _like_scores(self) -> torch.Tensor:
        """(R, V) zeros."""
        rows = len(self._history.host_lengths)
        return torch.zeros(rows, self._run._vocab or 0, device=self._history.tokens.device)

    def _may_fuse(self) -> bool:
        return self._run._stops.ids_only and self._history.tokens.device.type == "cuda"

    def _sampling_of(self, found: Fusable) -> Sampling | None:
        history = self._history
        sampling = found.backend.sampling(
            found.chain,
            len(history.host_lengths),
            self._run._vocab or 0,
            history.tokens.device,
            penalty=found.penalty,
            rng=self._rng,
        )
        if sampling is not None:
            columns = torch.arange(history.tokens.shape[1], device=history.tokens.device)
            sampling.observe(history.tokens.masked_fill(columns >= history.lengths.unsqueeze(1), -1))
        return sampling
