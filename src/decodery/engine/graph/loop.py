"""The loop of per-token strategies with its step in graphs. `loop.decode_tokens` is what it must equal."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import torch

from ...contracts.protocols import StaticSession
from ...host.registry import Host
from ...kernels.backends import Sampling
from ..plan.plan import as_scores
from ..rng import RowRng, TorchRng
from ..run.run import Run
from ..run.said import Said
from .body import Body, whole_buffer
from .capture import WARM, Captured
from .ends import ends_of
from .flights import Flights, Landed, landed
from .fusable import Fusable, fusable, settling
from .pieces import Pieces, pieces_of
from .standing import Standing

CALM = 4
"""After a row that the host must settle, so many steps are waited for: the next one often wants it, too."""


Known = set[tuple[object, ...]]
"""Kinds of steps that a decoder has captured before, so that nothing in them is new to torch."""


def decode_in_graph(run: Run, draw: str, host: Host, known: Known) -> Iterator[None]:
    """Until every row is finished, like `decode_tokens`. `draw` is the strategy's, by its spec.

    The first steps, and rows in lockstep whose prompts are still being fed, go without a graph.
    """
    while not run.done:
        with torch.no_grad():
            steps = GraphedSteps.where_due(run, draw, host, known)
            if steps is None:
                run.append(run.pick())
        yield
        if steps is not None:
            yield from steps.decode()


class GraphedSteps:
    """The graphs of one run, from a step at which all rows stand at one column to the end, or to the end of the room
    in the history.

    One graph where everything can be held; two, with the host in between, where a processor cannot be; the forward
    alone where somebody watches scores or the choice is the strategy's own. With one graph, and stop rules that the
    device knows, a step is launched before the tokens of the one before are read.
    """

    def __init__(self, run: Run, session: StaticSession, draw: str, host: Host, known: Known) -> None:
        self._run, self._session, self._count, self._calm = run, session, 0, 0
        self._history, self._plan, self._rng = run._history, run._plan, run.rng
        processors, device = self._plan.processors, self._history.tokens.device
        watched = run._watchers.want_scores or run._watchers.want_steps or draw == "custom" or run._told
        ends = ends_of(run._stops, self._history)
        pieces = Pieces(0, 0, 0)
        if not watched:
            pieces = pieces_of(processors, whole_buffer(self._history), self._like_scores())
        if pieces.reason:
            warnings.warn(
                f"compile: {pieces.reason}, so the graph is split there", RuntimeWarning, stacklevel=8
            )
        self._standing = Standing(self._history, ends, everyone=run._rectangle, pads=run._pads_finished)
        self._body = Body(
            session, processors, pieces, draw, self._rng, self._standing, settling(host, device)
        )
        self._standing.growing.copy_(run._rows.mask_of(run._rows.unfinished))
        sampling = None
        if draw == "categorical" and not watched and self._may_fuse():
            found = fusable(processors[pieces.resumed :], host)
            sampling = None if found is None else self._sampling_of(found)
            if found is not None and sampling is not None:
                self._body.draw_with(sampling, pieces.resumed + found.begin)
        self._sampling, self._ends = sampling, ends
        self._shown = ends is None and not run._stops.ids_only  # some rule looks at scores
        generators: tuple[torch.Generator, ...] = ()
        if isinstance(self._rng, TorchRng) and self._rng.generator is not None:
            generators = (self._rng.generator,)
        elif isinstance(self._rng, RowRng):
            self._rng.uniform()  # what waits for a first use happens here
        # Torch's numbers are drawn inside only where no sampler draws them.
        inside = () if sampling else generators
        names = tuple(step.name for step in processors)
        unpadded = not any(run._feed.offsets) and run._feed._mask is None
        inputs = (torch.is_inference_mode_enabled(), *sorted(run._feed._inputs))  # compiled for anew, too
        self._kind = (*self._history.tokens.shape, unpadded, run._rectangle, draw, watched, names, inputs)
        self._known, warm = known, 0 if self._kind in known else WARM
        self._step = Captured(self._body.step, device, inside, warm)
        self._first = Captured(self._body.first, device, (), warm)
        self._last = Captured(self._body.last, device, inside, warm)
        self._decide = Captured(self._body.decide, device, generators)
        self._flights = Flights(self._step, self._standing.told)
        self._one = self._open if watched else self._split if pieces.reason else self._whole
        self._pieces = pieces
        # A step that stood still is taken back, and a generator of torch's would have moved on with it.
        self._ahead = (
            ends is not None
            and session.unticks
            and (draw == "argmax" or sampling is not None or isinstance(self._rng, RowRng))
        )

    @classmethod
    def where_due(cls, run: Run, draw: str, host: Host, known: Known) -> GraphedSteps | None:
        """None where a step must be made without a graph first."""
        rows, history = run._rows, run._history
        if run._raw.known or run._vocab is None or not rows.active:
            return None
        if max(history.host_lengths) >= history.tokens.shape[1]:
            return None
        session = run._feed.ticking(rows.unfinished)
        return None if session is None else cls(run, session, draw, host, known)

    def decode(self) -> Iterator[None]:
        """An item a step."""
        run, history = self._run, self._history
        run._said = None if self._one == self._open else Said(history.host_lengths)
        try:
            while not run.done and max(history.host_lengths) < history.tokens.shape[1]:
                with torch.no_grad():
                    run._rows.activate(run._rows.everyone if run._rectangle else run._rows.unfinished)
                    self._one()
                yield
        finally:
            self._come_to_rest()

    # -- one graph --------------------------------------------------------------------------------------------

    def _whole(self) -> None:
        if not self._flights:
            self._flights.launch()
        if self._may_go_ahead():
            self._flights.launch()
        self._follow(self._flights.land())

    def _may_go_ahead(self) -> bool:
        """Not where this step fills the history: the next one would have no place."""
        self._calm = max(self._calm - 1, 0)
        return (
            self._ahead
            and not self._calm
            and max(self._history.host_lengths) + 1 < self._history.tokens.shape[1]
        )

    def _follow(self, told: Landed) -> None:
        """What a step told, and what comes of it."""
        run, rows, body = self._run, self._run._rows, self._body
        self._count += 1
        halted = any(told.bad) or any(told.unsure)
        if halted:
            told = self._settled(told)
        self._history.count(rows.active)
        if run._said is not None:
            run._said.hear(rows.active, told.tokens)
        run._scores.set(as_scores(body.scores) if self._shown else None)
        before = list(run.reasons)
        run._follow(told.drawn, True, told.tokens)
        if any(told.bad) or (self._ends is None and run.reasons != before):
            self._standing.growing.copy_(rows.mask_of(rows.unfinished))
        if halted:
            self._standing.halted.zero_()

    def _settled(self, told: Landed) -> Landed:
        """What becomes of rows that are bad, or that the sampler was unsure of. Nothing has moved since their step."""
        body, self._calm = self._body, CALM
        if self._flights.forget():
            # The step behind stood still, but its forward has written: once more, so that the scores are there again.
            self._session.untick(2)
            body.feed_again()
            self._step()
            self._standing.replace(self._standing.told[0], self._standing.written)
        if any(told.unsure):
            self._plan.undecided(sum(told.unsure))
            if self._sampling is not None:
                self._sampling.stand(self._count - 1)  # the reference draws the same numbers
            self._decide()
            if self._sampling is not None:
                self._sampling.observe(
                    torch.where(self._standing.told[2] != 0, self._standing.told[0], -1).unsqueeze(1)
                )
            told = landed(self._standing.told, self._standing.told[0].clone())
        if any(told.bad):
            self._judge()
        return told

    def _judge(self) -> None:
        """Names the bad row, or ends it. The steps are shown the text of before this step, as the host counts it."""
        run, history = self._run, self._history
        written, raw = self._standing.written.long(), self._body.logits.clone()
        history.lengths -= written
        history.steps -= written
        run._raw.set(raw)
        run._checked(raw, run.process(raw))
        history.lengths += written
        history.steps += written

    # -- two, or the forward alone ----------------------------------------------------------------------------

    def _split(self) -> None:
        body, view = self._body, self._run._view()
        self._first()
        scores = body.handed
        for step in self._plan.processors[self._pieces.held : self._pieces.resumed]:
            scores = step(view, scores)
        body.take_in(scores)
        self._last()
        self._follow(landed(self._standing.told, self._standing.told[0].clone()))

    def _open(self) -> None:
        """The host processes and chooses."""
        run, body = self._run, self._body
        self._first()
        self._count += 1
        run._raw.set(body.logits.clone())
        tokens = run.pick()
        mask = run._rows.mask
        run.append(tokens)
        self._standing.replace(tokens, mask)

    # -- beginning and end ------------------------------------------------------------------------------------

    def _come_to_rest(self) -> None:
        """Nothing is ahead of what the host has seen."""
        run, history = self._run, self._history
        run._said = None
        with torch.no_grad():
            if ahead := self._flights.forget():
                self._session.untick(ahead)
                if not run.done:  # behind the last row's end a step stands still
                    history.rewind(self._standing.written.long(), [0] * len(history.host_lengths))
            if self._sampling is not None:
                self._sampling.stand(self._count)
            run._feed.ticked(self._count)
        if self._count > WARM:
            self._known.add(self._kind)

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
            halted=self._standing.halted,
        )
        if sampling is not None:
            columns = torch.arange(history.tokens.shape[1], device=history.tokens.device)
            sampling.observe(history.tokens.masked_fill(columns >= history.lengths.unsqueeze(1), -1))
        return sampling
