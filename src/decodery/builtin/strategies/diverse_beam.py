"""Diverse beam search (Vijayakumar et al. 2016, arXiv 1610.02424), as transformers 4 does it.

The beams are divided into groups that choose one after another; a token that earlier groups chose in the same step
costs a group `diversity_penalty` for each beam that chose it. Each group has a pool of finished texts of its own.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from ...contracts.errors import InvalidInput
from ...contracts.protocols import Run
from .hypotheses import NEVER, nothing_left
from .pools import Finished, Pool


@dataclass(slots=True)
class Group:
    """A group of beams of one prompt: its pool, the beams' sums of log-probabilities, and what a search keeps beside
    each beam."""

    prompt: int
    index: int
    pool: Pool
    totals: list[float]
    notes: list[Any] = field(default_factory=list)
    done: bool = False


@dataclass(slots=True)
class Option:
    """What a beam may become: the row that it goes on from, its token, the sum, why it would end there."""

    row: int
    token: int
    total: float
    reason: str | None
    note: Any = None


class DiverseBeam:
    """`num_beam_groups` groups of `num_beams / num_beam_groups` beams a prompt; deterministic."""

    def __init__(
        self,
        *,
        num_beams: int,
        num_beam_groups: int,
        diversity_penalty: float,
        length_penalty: float,
        early_stopping: bool | Literal["never"],
        num_return_sequences: int | None,
        eos: tuple[int, ...],
        pad: int | None,
    ) -> None:
        self.num_beams, self.num_groups = num_beams, num_beam_groups
        self.size = num_beams // num_beam_groups
        self.diversity_penalty, self.length_penalty = diversity_penalty, length_penalty
        self.early_stopping, self.eos = early_stopping, eos
        self.pad = pad if pad is not None else eos[0] if eos else 0
        self.keep = max(2, 1 + len(eos)) * self.size

    def decode(self, run: Run) -> None:
        """Raises `InvalidInput` when more results are wanted than there are beams."""
        if run.samples > self.num_beams:
            raise InvalidInput(
                f"{run.samples} results a prompt, and {self.num_beams} beams",
                remedy="use more beams, or a smaller n",
            )
        groups = self._begin(run)
        ended: dict[int, list[Group]] = defaultdict(list)
        for group in groups:
            ended[group.prompt].append(group)
        run.select(torch.tensor([group.prompt for group in groups for _ in range(self.size)]))
        generated = 0
        try:
            while groups:
                generated += 1
                groups = self._step(run, groups, generated)
        except KeyboardInterrupt:
            for place, group in enumerate(groups):
                self._close(run, group, [(place * self.size + b, t) for b, t in enumerate(group.totals)])
            self._emit(run, ended)
            raise
        self._emit(run, ended)

    # -- what another search may do otherwise -----------------------------------------------------------------

    def begin_notes(self, run: Run, prompt: int) -> list[Any]:
        return [None] * self.size

    def whole(self, note: Any) -> bool:
        """Whether a text with this note is all that was asked for."""
        return True

    def revised(
        self, run: Run, group: Group, first: int, values: Tensor, options: list[Option], last: bool
    ) -> list[Option]:
        """The next beams of a group whose rows begin at `first`; values (size, V) are sums of log-probabilities."""
        return options

    def note_after(self, note: Any, token: int) -> Any:
        return None

    # -- one step ---------------------------------------------------------------------------------------------

    def _begin(self, run: Run) -> list[Group]:
        horizons = run.room.tolist()
        totals = [0.0, *[NEVER] * (self.size - 1)]
        return [
            Group(
                prompt,
                index,
                Pool(self.size, self.length_penalty, self.early_stopping, horizon),
                list(totals),
                self.begin_notes(run, prompt),
            )
            for prompt, horizon in enumerate(horizons)
            for index in range(self.num_groups)
        ]

    def _step(self, run: Run, groups: list[Group], generated: int) -> list[Group]:
        """One token more. Groups that are done leave the run, but in transformers' layout."""
        logprobs = run.logits().float().log_softmax(-1)  # (R, V)
        chosen: dict[int, list[int]] = defaultdict(list)
        following: dict[int, list[Option]] = {}
        for index in range(self.num_groups):
            places = [place for place, group in enumerate(groups) if group.index == index]
            open_places = [place for place in places if not groups[place].done]
            if open_places:
                values = self._values(run, logprobs, groups, open_places, chosen)
                following |= self._choose(run, groups, open_places, values, generated)
            for place in places:
                if place not in following:  # transformers goes on with pads, and counts them as choices
                    following[place] = [
                        Option(place * self.size, self.pad, 0.0, None) for _ in range(self.size)
                    ]
                chosen[groups[place].prompt] += [option.token for option in following[place]]
        if not run.rectangle:
            following = {place: options for place, options in following.items() if not groups[place].done}
        kept = [place for place in sorted(following) if following[place]]
        over = run.rectangle and all(
            groups[place].done or all(option.reason is not None for option in following[place])
            for place in kept
        )
        if not kept:
            return []
        options = [option for place in kept for option in following[place]]
        device = run.lengths.device
        run.select(torch.tensor([option.row for option in options], device=device))
        run.append(torch.tensor([option.token for option in options], device=device), stop=False)
        for place in kept:
            groups[place].totals = [option.total for option in following[place]]
            groups[place].notes = [option.note for option in following[place]]
        left = [groups[place] for place in kept]
        finals = [place for place, at in enumerate(kept) if over or self._last(following[at])]
        for place in finals:
            if not left[place].done:
                reasons = [option.reason or "length" for option in following[kept[place]]]
                rows = [(place * self.size + b, total) for b, total in enumerate(left[place].totals)]
                self._close(run, left[place], rows, reasons)
        if over or all(group.done for group in left):
            return []
        if not run.rectangle and finals:
            going = [place for place in range(len(left)) if not left[place].done]
            left_rows = [place * self.size + b for place in going for b in range(self.size)]
            run.select(torch.tensor(left_rows, device=device))
            left = [left[place] for place in going]
        return left

    def _last(self, options: list[Option]) -> bool:
        return bool(options) and all(option.reason is not None for option in options)

    def _values(
        self,
        run: Run,
        logprobs: Tensor,
        groups: list[Group],
        places: list[int],
        chosen: dict[int, list[int]],
    ) -> Tensor:
        """(G, size, V): sums of log-probabilities of these groups, less the penalty, as processors leave them."""
        rows = torch.tensor(places, device=logprobs.device).unsqueeze(1) * self.size
        rows = (rows + torch.arange(self.size, device=logprobs.device)).flatten()  # (G, 1) -> (G x size,)
        values = logprobs
        if any(chosen.values()) and self.diversity_penalty:
            values = logprobs.clone()
            for place in places:
                tokens = torch.tensor(chosen[groups[place].prompt], device=values.device, dtype=torch.int64)
                counts = torch.bincount(tokens, minlength=values.shape[-1])  # (V,)
                values[place * self.size : (place + 1) * self.size] -= self.diversity_penalty * counts
        values = run.process(values)[rows]
        totals = torch.tensor([groups[place].totals for place in places], device=values.device)
        return values.view(len(places), self.size, -1) + totals.unsqueeze(-1)  # (G, size) -> (G, size, 1)

    def _choose(
        self, run: Run, groups: list[Group], places: list[int], values: Tensor, generated: int
    ) -> dict[int, list[Option]]:
        """The next beams of these groups; candidates that end enter the pools."""
        vocabulary = values.shape[-1]
        flat = values.flatten(1)  # (G, size, V) -> (G, size x V)
        scores, at = flat.topk(min(self.keep, flat.shape[1]))
        before = torch.tensor([groups[place].totals for place in places], device=values.device)
        if any(bad := nothing_left(before, scores[:, 0]).tolist()):
            self._fail(run, groups, {groups[place].prompt for place, b in zip(places, bad, strict=True) if b})
            fine = [number for number, failed in enumerate(bad) if not failed]
            left = [places[number] for number in fine]
            return self._choose(run, groups, left, values[fine], generated) if left else {}
        firsts = torch.tensor(places, device=at.device).unsqueeze(1) * self.size
        rows, tokens = firsts + at // vocabulary, at % vocabulary  # (G, C)
        reasons = run.stops(rows.flatten(), tokens.flatten())
        width, found = at.shape[1], {}
        columns = zip(places, scores.tolist(), rows.tolist(), tokens.tolist(), strict=True)
        for number, (place, totals, from_rows, candidates) in enumerate(columns):
            group, first = groups[place], place * self.size
            why = reasons[number * width : (number + 1) * width]
            options = [
                Option(row, token, total, reason, self.note_after(group.notes[row - first], token))
                for row, token, total, reason in zip(from_rows, candidates, totals, why, strict=True)
            ]
            found[place] = self._of_group(run, group, first, values[number], options, generated)
        return found

    def _of_group(
        self, run: Run, group: Group, first: int, values: Tensor, options: list[Option], generated: int
    ) -> list[Option]:
        # Where every candidate ends, the length does it: what goes on is what no eos ends, and ends with it.
        last = run.rectangle or self._last(options)
        following: list[Option] = []
        for rank, option in enumerate(options):
            if option.reason is None or (last and option.token not in self.eos):
                following.append(option)
                if len(following) == self.size:
                    break
            elif rank < self.size and self.whole(group.notes[option.row - first]):
                # transformers writes its first eos, whichever it was.
                end = self.eos[0] if run.rectangle else option.token
                text = (*run.generated(option.row), end)
                group.pool.add(option.total, text, generated, option.reason)
        if following and len(following) < self.size:
            spare = following[0]
            missing = self.size - len(following)
            following += [Option(spare.row, spare.token, NEVER, spare.reason, spare.note)] * missing
        if following:
            following = self.revised(run, group, first, values, following, last)
        group.done = group.pool.closed(options[0].total, generated) or not following
        return following

    def _fail(self, run: Run, groups: list[Group], prompts: set[int]) -> None:
        """End these prompts, whose beams have nothing to go on with: all of their groups close as they stand."""
        failed = torch.tensor([group.prompt in prompts for group in groups], device=run.lengths.device)
        rows = failed.repeat_interleave(self.size)  # (G,) -> (G x size,)
        run.fail(rows, run.logits().float().log_softmax(-1))
        for place, group in enumerate(groups):
            if group.prompt in prompts:
                beams = [(place * self.size + beam, total) for beam, total in enumerate(group.totals)]
                self._close(run, group, beams, ["error"] * self.size)

    # -- results ----------------------------------------------------------------------------------------------

    def _close(
        self,
        run: Run,
        group: Group,
        rows: list[tuple[int, float]],
        reasons: list[str] | None = None,
    ) -> None:
        """Beams that are left compete for the pool as they stand."""
        if group.done:
            return
        group.done = True
        beams = []
        for beam, (row, total) in enumerate(rows):
            tokens = tuple(run.generated(row))
            reason = reasons[beam] if reasons else "interrupted"
            beams.append((total, tokens, reason, self.whole(group.notes[beam])))
        whole = [beam for beam in beams if beam[3]]
        short = run.samples - len(whole) - (0 if run.rectangle else len(group.pool.texts))
        for total, tokens, reason, fine in [*whole, *(b for b in beams if not b[3] and short > 0)]:
            group.pool.add(total, tokens, len(tokens), reason, fine)

    def _emit(self, run: Run, groups: dict[int, list[Group]]) -> None:
        """The best texts of all groups of each prompt; outside of transformers' layout whole ones first."""
        for prompt, members in groups.items():
            texts: list[Finished] = [text for group in members for text in group.pool.texts]
            texts = sorted(texts, key=lambda text: (run.rectangle or text.whole, text.score))[::-1]
            for text in texts[: run.samples]:
                run.emit(prompt, text.tokens, text.score, text.reason)
