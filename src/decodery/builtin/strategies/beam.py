"""Beam search and beam sampling, as transformers' `generate` does them.

At each step every beam proposes its best tokens, or tokens are drawn without replacement; candidates that a stop rule
would end compete for the pool of finished texts, the best of the others are the next beams. A text's score is the sum
of its log-probabilities, as the processors leave them, over its length to the power of `length_penalty`.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Literal

import torch
from packaging.version import Version
from torch import Tensor

from ...contracts.errors import InvalidInput
from ...contracts.protocols import Run
from .best import Candidates, best_of_beams
from .hypotheses import NEVER, Prompts, Text, nothing_left


class Beam:
    """`num_beams` hypotheses a prompt; deterministic."""

    def __init__(
        self,
        *,
        num_beams: int,
        length_penalty: float,
        early_stopping: bool | Literal["never"],
        num_return_sequences: int | None,
        patience: float,
        eos: tuple[int, ...],
    ) -> None:
        self.num_beams, self.length_penalty, self.early_stopping = num_beams, length_penalty, early_stopping
        # Kasai et al. 2022 (arXiv 2204.05424): how many finished texts are waited for, in beams.
        self.pool = max(1, round(num_beams * patience))
        # So many that, should every eos be among the best of each beam, enough others are left to go on with.
        self.keep = max(2, 1 + len(eos)) * num_beams
        self._buffer: Tensor | None = None

    def decode(self, run: Run) -> None:
        """Raises `InvalidInput` when more results are wanted than the pool holds."""
        if run.samples > min(self.num_beams, self.pool):
            raise InvalidInput(
                f"{run.samples} results a prompt, and {self.num_beams} beams",
                remedy="use more beams, or a smaller n",
            )
        prompts = self._begin(run)
        run.select(
            torch.arange(len(prompts.index), device=run.lengths.device).repeat_interleave(self.num_beams)
        )
        generated = 0
        try:
            while prompts.index:
                prompts = self._step(run, prompts, generated)
                generated += 1
        except KeyboardInterrupt:
            self._emit(run, prompts, list(range(len(prompts.index))), "interrupted")
            raise

    def candidates(self, run: Run, running: Tensor) -> Candidates:
        """The best continuations of each prompt's beams; running (P, K)."""
        values = run.process(self._logprobs(run))  # (P x K, V)
        scores, at = best_of_beams(values.view(*running.shape, -1), running, self.keep)
        return Candidates(scores, at // values.shape[-1], at % values.shape[-1])

    def _logprobs(self, run: Run) -> Tensor:
        """(R, V) float32, written to the same memory at each step: new memory of this size has to be cleared first,
        which takes longer than the numbers."""
        logits = run.logits().float()
        if self._buffer is None or self._buffer.shape != logits.shape:
            self._buffer = torch.empty_like(logits)
        return torch.log_softmax(logits, -1, out=self._buffer)

    # -- one step ---------------------------------------------------------------------------------------------

    def _begin(self, run: Run) -> Prompts:
        count, device = len(run.lengths), run.lengths.device
        running = torch.full((count, self.num_beams), NEVER, device=device)
        running[:, 0] = 0.0  # the beams of a prompt begin alike: one of them counts
        return Prompts(
            list(range(count)),
            running,
            torch.full((count, self.pool), NEVER, device=device),
            torch.zeros(count, self.pool, dtype=torch.bool, device=device),
            torch.ones(count, 1, dtype=torch.bool, device=device),
            run.room.unsqueeze(1),  # (P,) -> (P, 1)
            [[None] * self.pool for _ in range(count)],
        )

    def _step(self, run: Run, prompts: Prompts, generated: int) -> Prompts:
        """One token more for every beam. Prompts that are done are emitted, and dropped but in transformers' layout."""
        found = self.candidates(run, prompts.running)
        best = found.scores[:, 0] if found.ranked else found.scores.amax(-1)
        if any(bad := nothing_left(prompts.running, best).tolist()):
            prompts, kept = self._fail(run, prompts, bad)
            if not prompts.index:
                return prompts
            found = found.take(kept)
        count, beams = prompts.running.shape
        first = torch.arange(count, device=found.beams.device).unsqueeze(1) * beams  # (P, 1)
        rows, tokens = first + found.beams, found.tokens  # (P, C), rows of the run
        reasons = run.stops(rows.flatten(), tokens.flatten())
        if any(reasons) or not found.ranked:
            hits = torch.tensor([reason is not None for reason in reasons], device=rows.device).view(
                rows.shape
            )
            self._collect(run, prompts, found, rows, hits, reasons, generated)
            # The beams of the next step: the best that go on.
            prompts.running, at = (found.scores + hits.float() * NEVER).topk(beams)  # (P, C) -> (P, K)
            rows, tokens = rows.gather(1, at), tokens.gather(1, at)
            over = hits.all(-1).tolist()
        else:
            prompts.running, rows, tokens = found.scores[:, :beams], rows[:, :beams], tokens[:, :beams]
            over = [False] * count
        finished = self._finished(prompts, over, generated + 1, together=run.rectangle)
        kept = [place for place, done in enumerate(finished) if not done]
        self._emit(run, prompts, [place for place, done in enumerate(finished) if done], "length")
        if not kept:
            return prompts.take([])
        if len(kept) < count:
            keep = torch.tensor(kept, device=rows.device)
            prompts, rows, tokens = prompts.take(kept), rows[keep], tokens[keep]
        run.select(rows.flatten())  # (P, K) -> (P x K,)
        run.append(tokens.flatten(), stop=False)
        return prompts

    def _fail(self, run: Run, prompts: Prompts, bad: list[bool]) -> tuple[Prompts, list[int]]:
        """What is left without the prompts whose beams have nothing to go on with, and their places."""
        rows = torch.tensor(bad, device=run.lengths.device).repeat_interleave(
            self.num_beams
        )  # (P,) -> (P x K,)
        run.fail(rows, run.logits().float().log_softmax(-1))
        self._emit(run, prompts, [place for place, failed in enumerate(bad) if failed], "error")
        kept = [place for place, failed in enumerate(bad) if not failed]
        if kept:
            run.select((~rows).nonzero().flatten())  # (P x K,) -> (P' x K, 1) -> (P' x K,)
        return prompts.take(kept), kept

    def _finished(self, prompts: Prompts, over: list[bool], generated: int, *, together: bool) -> list[bool]:
        """Which prompts are done; `over` tells of those whose candidates all end. Those that go `together` are done for
        one reason, all of them: transformers goes on where one can improve no more and the other has room."""
        reasons = [over]
        # A pool with room takes any text that is there at all: most steps are over with this.
        if prompts.any_full or not all(best > NEVER for best in prompts.running[:, 0].tolist()):
            prompts.improvable &= self._can_improve(prompts, generated)
            reasons.append((~prompts.improvable[:, 0]).tolist())
            if self.early_stopping is True:
                reasons.append(prompts.full.all(-1).tolist())
        if together:
            return [any(map(all, reasons))] * len(over)
        return [any(each) for each in zip(*reasons, strict=True)]

    def _collect(
        self,
        run: Run,
        prompts: Prompts,
        found: Candidates,
        rows: Tensor,
        hits: Tensor,
        reasons: list[str | None],
        generated: int,
    ) -> None:
        """Let candidates that end compete for the pool: the best `num_beams` may, the others were only a reserve."""
        ending = hits & (torch.arange(hits.shape[1], device=hits.device) < self.num_beams)
        if not bool(ending.any()):
            return
        scores = found.scores / ((generated + 1) ** self.length_penalty)
        closed = ~prompts.improvable
        if self.early_stopping is True:
            closed = closed | prompts.full.all(-1, keepdim=True)
        scores = scores + closed.float() * NEVER + (~ending).float() * NEVER
        merged = torch.cat((prompts.scores, scores), dim=1)  # (P, F) + (P, C)
        prompts.scores, at = merged.topk(self.pool)
        prompts.full = torch.cat((prompts.full, ending), dim=1).gather(1, at)
        width = hits.shape[1]
        for place, chosen in enumerate(at.tolist()):
            old = prompts.texts[place]
            prompts.texts[place] = [
                old[slot]
                if slot < self.pool
                else self._text(run, found, rows, reasons, place, slot - self.pool, width)
                for slot in chosen
            ]

    def _text(
        self,
        run: Run,
        found: Candidates,
        rows: Tensor,
        reasons: list[str | None],
        place: int,
        slot: int,
        width: int,
    ) -> Text | None:
        reason = reasons[place * width + slot]
        if reason is None or slot >= self.num_beams:
            return None
        row = int(rows[place, slot])
        begin, end = int(run.prompt_lengths[row]), int(run.lengths[row])
        return Text((*run.input_ids[row, begin:end].tolist(), int(found.tokens[place, slot])), reason)

    def _can_improve(self, prompts: Prompts, generated: int) -> Tensor:
        """(P, 1) bool: whether a running beam could still beat the worst text of the pool, by transformers' estimate
        of how long it may become."""
        length: Tensor | int = generated
        if self.early_stopping == "never" and self.length_penalty > 0.0:
            length = prompts.horizon
        best = prompts.running[:, :1] / (length**self.length_penalty)
        worst = torch.where(prompts.full, prompts.scores.amin(1, keepdim=True), NEVER)
        return (best > worst).any(-1, keepdim=True)

    def _emit(self, run: Run, prompts: Prompts, places: list[int], reason: str) -> None:
        """The best of the pool of these prompts; where it holds too few, the best beams as they stand, for `reason`."""
        for place in places:
            texts = [
                (text, score)
                for text, score in zip(prompts.texts[place], prompts.scores[place].tolist(), strict=True)
                if text is not None
            ]
            for beam, total in enumerate(prompts.running[place].tolist()):
                row = place * self.num_beams + beam
                begin, end = int(run.prompt_lengths[row]), int(run.lengths[row])
                tokens = tuple(run.input_ids[row, begin:end].tolist())
                texts.append((Text(tokens, reason), total / max(len(tokens), 1) ** self.length_penalty))
            for text, score in texts[: run.samples]:
                run.emit(prompts.index[place], text.tokens, score, text.reason)


class BeamSample(Beam):
    """Beams whose candidates are drawn without replacement, in the order drawn, from the sums of log-probabilities."""

    def candidates(self, run: Run, running: Tensor) -> Candidates:
        prompts, beams = running.shape
        values = run.process(self._logprobs(run))
        vocabulary = values.shape[-1]
        values = (values.view(prompts, beams, -1) + running.unsqueeze(-1)).flatten(1)  # -> (P, K x V)
        bad = nothing_left(running, values.amax(-1)).unsqueeze(
            1
        )  # (P,) -> (P, 1), draws that count for nothing
        values = values.masked_fill(bad, 0.0)
        first = torch.arange(prompts, device=values.device) * beams
        drawn = run.rng.without_replacement(values, min(self.keep, values.shape[1]), first)
        scores = values.gather(1, drawn)
        ranked = not run.rectangle or hf_ranks_draws()
        if ranked:
            scores, order = scores.sort(dim=-1, descending=True)
            drawn = drawn.gather(1, order)
        return Candidates(scores.masked_fill(bad, torch.nan), drawn // vocabulary, drawn % vocabulary, ranked)


@cache
def hf_ranks_draws() -> bool:
    """Whether the transformers that `compat: hf` stands for sorts what its beams have drawn: since 5.24. Before, the
    first drawn are those that may end a text."""
    return Version(version("transformers")).release >= (5, 24)
