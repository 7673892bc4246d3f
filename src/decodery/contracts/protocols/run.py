"""One generation, as a strategy sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from .facts import ModelFacts
    from .random import RunRng
    from .tokenizer import Tokenizer


class Run(Protocol):
    """One generation as a strategy sees it: session, bound steps, buffers and random numbers.

    A strategy's run begins with a row for each result that the caller wants; one whose spec says `ranks` with a row for
    each prompt, and `samples` says how many results of it are wanted.
    """

    @property
    def lengths(self) -> Tensor:
        """(R,) int64: tokens of each row so far, prompt included."""
        ...

    @property
    def prompt_lengths(self) -> Tensor:
        """(R,) int64."""
        ...

    @property
    def padding(self) -> Tensor:
        """(R,) int64: how many pads begin each row, none but in transformers' own layout (`rectangle`)."""
        ...

    @property
    def room(self) -> Tensor:
        """(R,) int64: how many tokens each row can still get before a stop rule or the context ends it at the latest;
        2**62 where nothing says."""
        ...

    @property
    def finished(self) -> Tensor:
        """(R,) bool."""
        ...

    @property
    def done(self) -> bool:
        """Every row is finished."""
        ...

    @property
    def reasons(self) -> Sequence[str | None]:
        """Why each row is finished; None while it goes on."""
        ...

    @property
    def input_ids(self) -> Tensor:
        """(R, max(lengths)) int64, right-padded; a view, valid until the next call that changes rows."""
        ...

    def generated(self, row: int) -> list[int]:
        """The new tokens of one row."""
        ...

    @property
    def rng(self) -> RunRng:
        """The random numbers of the rows."""
        ...

    @property
    def samples(self) -> int:
        """How many results of each prompt the caller wants."""
        ...

    @property
    def model(self) -> ModelFacts:
        """What is known of the model."""
        ...

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The tokenizer, where one is known."""
        ...

    @property
    def role_prompts(self) -> Mapping[str, Sequence[Sequence[int]]]:
        """What the caller gave for further runs to begin with, by role, a line a row of the run as it began."""
        ...

    @property
    def roles(self) -> frozenset[str]:
        """The further models that are there to be opened."""
        ...

    @property
    def rectangle(self) -> bool:
        """transformers' own layout (`compat: hf`): no row is dropped before all are done."""
        ...

    @property
    def unprocessed(self) -> bool:
        """The recipe has no processors, so `process` changes nothing."""
        ...

    # -- one token --------------------------------------------------------------------------------------------

    def logits(self) -> Tensor:
        """(R, V) raw; the forward happens here, feeding what is pending."""
        ...

    def process(self, values: Tensor) -> Tensor:
        """(R, V) -> (R, V) through the recipe's processors."""
        ...

    def scores(self, values: Tensor | None = None) -> Tensor:
        """`process(logits())`, checked for bad rows and shown to observers; or `process(values)`, (R, V), of a strategy
        that mixes logits of its own."""
        ...

    def pick(self) -> Tensor:
        """(R,) int64: chooses, does not append."""
        ...

    def append(self, tokens: Tensor, stop: bool = True, rows: Tensor | None = None) -> None:
        """(R,) int64: records one token in every active row, or in those of them in `rows` (R,) bool; with `stop` the
        stop rules finish rows."""
        ...

    def uniform(self, purpose: str, ahead: int = 0) -> Tensor:
        """(R,) float64; `ahead` counts tokens beyond the last one appended."""
        ...

    # -- rows -------------------------------------------------------------------------------------------------

    def select(self, rows: Tensor) -> None:
        """(R',) int64: reorder, repeat (fork) or drop rows."""
        ...

    def rewind(self, counts: Tensor) -> None:
        """(R,) int64: takes that many tokens back from each row."""
        ...

    def finish(self, rows: Tensor, reason: str) -> None:
        """(R,) bool: ends those rows that are not finished yet."""
        ...

    def fail(self, rows: Tensor, values: Tensor) -> None:
        """(R,) bool: nothing can be chosen in those rows from `process(values)`, (R, V). Raises `BadRow`, which names
        who made them so; under `on_bad_row: stop_row` ends them, with the reason "error". `scores` does it itself."""
        ...

    # -- several tokens in one forward ------------------------------------------------------------------------

    def verify(self, drafts: Tensor, widths: Tensor | None = None) -> Tensor:
        """(R, K) int64 tokens that might come next -> (R, K + 1, V) processed scores: before each of them and after
        the last, each position as if the tokens before it had been appended. Of row r the first `widths[r]` (R,)
        count. The run stays where it is; only the model has seen the drafts."""
        ...

    def accept(self, counts: Tensor, following: Tensor) -> None:
        """(R,) int64, (R,) int64: appends the first `counts[r]` of the drafts that were verified last, then
        `following[r]`. The stop rules are asked at every token, and a row that one of them ends gets no more."""
        ...

    # -- candidates and hypotheses ----------------------------------------------------------------------------

    def stops(self, rows: Tensor, tokens: Tensor) -> list[str | None]:
        """(C,) int64, (C,) int64: the reason for which row `rows[i]` would end with `tokens[i]`, None where it would
        not."""
        ...

    def emit(self, prompt: int, tokens: Sequence[int], score: float, reason: str) -> None:
        """A result of the prompt with that index, the best first: its new tokens, their score, why they end. The rows
        that are left when the strategy returns are not looked at then."""
        ...

    # -- inside and beside the model --------------------------------------------------------------------------

    def hidden(self, layers: Sequence[int], newest: int | None = None) -> Tensor:
        """(L, R, T, H): the outputs of those layers (0: the embeddings, -1: the last layer, normed) for every token
        that the model was fed, right-padded like `input_ids`; of the `newest` tokens alone (L, R, newest, H). Raises
        `ModelError` for a model that keeps them to itself."""
        ...

    def head(self, states: Tensor) -> Tensor:
        """(..., H) -> (..., V): the model's output layer."""
        ...

    def open(
        self, role: str, prompts: Sequence[Sequence[int]] | None = None, processors: bool = False
    ) -> Run:
        """A run beside this one, a row for each of its rows, on the model of that role ("model": this one's own).
        `prompts` are what its rows begin with: unless given, the caller's `role_prompts` for the role, else the texts
        of this run's rows. With `processors` the recipe's steps are bound for it anew. It has no stop rules. Raises
        `InvalidInput` for a role without a model."""
        ...
