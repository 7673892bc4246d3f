"""Prompt lookup: what followed the newest tokens when they occurred before is the draft."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...contracts.protocols import Run
from .speculative import judge


class PromptLookup:
    """As assisted decoding, with the text itself for a draft model: no second model, good where the text repeats."""

    def __init__(self, *, num_assistant_tokens: int, max_matching_ngram_size: int, do_sample: bool) -> None:
        self.num_assistant_tokens = num_assistant_tokens
        self.max_matching_ngram_size, self.do_sample = max_matching_ngram_size, do_sample

    def decode(self, run: Run) -> Iterator[None]:
        places = [Occurrences(self.max_matching_ngram_size) for _ in range(len(run.lengths))]
        while not run.done:
            open_rows = (~run.finished).nonzero().flatten().tolist()
            most = min(self.num_assistant_tokens, int(run.room[open_rows].min()) - 1)
            found: list[list[int]] = [[] for _ in places]
            for row in open_rows:
                found[row] = places[row].continuation(run.input_ids[row, : run.lengths[row]].tolist(), most)
            width = max(map(len, found))
            drafts = run.lengths.new_tensor([[*tokens, *[0] * (width - len(tokens))] for tokens in found])
            drafts = drafts.view(len(found), width)
            widths = run.lengths.new_tensor([len(tokens) for tokens in found])
            scores = run.verify(drafts, widths)
            run.accept(*judge(run, scores, drafts, widths, None, self.do_sample))
            yield


class Occurrences:
    """Where each n-gram of one row's text first stood; what a text grows by is read once."""

    def __init__(self, longest: int) -> None:
        self._longest, self._read = longest, 0
        self._ends: dict[tuple[int, ...], int] = {}

    def continuation(self, ids: Sequence[int], most: int) -> list[int]:
        """At most `most` tokens that followed the newest n-gram of `ids` where it first stood, for the largest n that
        stood before."""
        # The newest n-grams themselves are entered only once the text has grown beyond them.
        for end in range(max(self._read, 1), len(ids)):
            for size in range(1, min(self._longest, end) + 1):
                self._ends.setdefault(tuple(ids[end - size : end]), end)
        self._read = max(self._read, len(ids))
        for size in range(min(self._longest, len(ids) - 1), 0, -1):
            if (stood := self._ends.get(tuple(ids[-size:]))) is not None:
                return list(ids[stood : stood + most])
        return []
