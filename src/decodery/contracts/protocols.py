"""What plugins implement, and what they are handed. Shapes and dtypes are part of the contract.

Letters: R rows of the run (prompts x samples, or beams), T tokens, V vocabulary, K tokens at once.
ids are int64, scores float32 or float64 on the logits' device, `-inf` means banned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Processor(Protocol):
    """Hugging Face's own signature, so every HF-style object is one.

    Optional methods: `observe(tokens (R,), active (R,) bool)` after each token, `select(rows (R',))` when rows are
    reordered, repeated or dropped, `rewind(counts (R,))` when tokens are taken back. Applying never changes state;
    `observe` does, and only in active rows.
    """

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) -> (R, V). Returns a new tensor, or `scores` itself when there is nothing to do."""
        ...


class RaggedProcessor(Protocol):
    """A processor with the trait `ragged`: `input_ids` is right-padded, row r has `lengths[r]` tokens."""

    def __call__(
        self, input_ids: Tensor, scores: Tensor, *, lengths: Tensor, prompt_lengths: Tensor
    ) -> Tensor:
        """(R, T) int64, (R, V), (R,) int64, (R,) int64 -> (R, V)."""
        ...


class StopRule(Protocol):
    """HF's StoppingCriteria signature. `ragged` works as for processors; a plain bool answers for all rows.

    Optional method: `limit(prompt_lengths (R,)) -> (R,)`, the greatest length a row can reach under this rule, so
    that buffers and caches are allocated once.
    """

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor | bool:
        """(R, T) int64 ending in the newest token, (R, V) -> (R,) bool."""
        ...


class Rng(Protocol):
    """The random numbers of the rows at hand. A draw in one row never depends on another row."""

    def uniform(self, purpose: str = "draw", ahead: int = 0) -> Tensor:
        """(R,) float64 in [0, 1). `purpose` names the consumer, so that consumers do not share numbers; `ahead`
        counts tokens beyond the last accepted one."""
        ...

    def categorical(self, scores: Tensor, purpose: str = "draw", ahead: int = 0) -> Tensor:
        """(R, V) -> (R,) int64: one draw a row from softmax(scores)."""
        ...


class RunRng(Rng, Protocol):
    """The random numbers of a whole run: they follow its rows."""

    def select(self, rows: Tensor, copies: Tensor, steps: Tensor) -> None:
        """(R',) int64 each. `copies` counts earlier copies of the same row, which go on with numbers of their own;
        `steps` counts the generated tokens of the new rows."""
        ...


class TokenStrategy(Protocol):
    """A per-token strategy: the engine owns the loop."""

    def choose(self, scores: Tensor, rng: Rng) -> Tensor:
        """(R, V) processed scores -> (R,) int64."""
        ...


class Strategy(Protocol):
    """A strategy that owns its loop, written against `Run`."""

    def decode(self, run: Run) -> None: ...


class Run(Protocol):
    """One generation as a strategy sees it: session, bound steps, buffers and random numbers."""

    @property
    def lengths(self) -> Tensor:
        """(R,) int64: tokens of each row so far, prompt included."""
        ...

    @property
    def prompt_lengths(self) -> Tensor:
        """(R,) int64."""
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
    def input_ids(self) -> Tensor:
        """(R, max(lengths)) int64, right-padded; a view, valid until the next call that changes rows."""
        ...

    def logits(self) -> Tensor:
        """(R, V) raw; the forward happens here, feeding what is pending."""
        ...

    def process(self, values: Tensor) -> Tensor:
        """(R, V) -> (R, V) through the recipe's processors."""
        ...

    def scores(self) -> Tensor:
        """`process(logits())`, checked for bad rows."""
        ...

    def pick(self) -> Tensor:
        """(R,) int64: chooses, does not append."""
        ...

    def append(self, tokens: Tensor, stop: bool = True) -> None:
        """(R,) int64: records one token in every active row; with `stop` the stop rules finish rows."""
        ...

    def select(self, rows: Tensor) -> None:
        """(R',) int64: reorder, repeat (fork) or drop rows."""
        ...

    def rewind(self, counts: Tensor) -> None:
        """(R,) int64: takes that many tokens back from each row."""
        ...

    def uniform(self, purpose: str, ahead: int = 0) -> Tensor:
        """(R,) float64."""
        ...


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a session can do.

    masks   prompts of unequal length may be left-padded: attention_mask and positions are honoured
    select  rows of the session's state can be reordered, repeated and dropped
    rewind  tokens can be taken back: by a count a row (ragged), one count for all (uniform), or not at all
    rewind_by
            what that costs: nothing where the state is cropped or a counter set back, a forward over all that is
            left where it is a replay; "" where nobody says
    static  the state has fixed addresses, so that a step can be captured in a CUDA graph
    """

    masks: bool = False
    select: bool = False
    rewind: Literal["ragged", "uniform", "none"] = "none"
    static: bool = False
    rewind_by: Literal["", "crop", "counter", "replay"] = ""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What an adapter knows of its model. None where it cannot know."""

    vocab_size: int | None
    max_length: int | None
    device: torch.device
    dtype: torch.dtype
    capabilities: Capabilities = Capabilities()
    eos: tuple[int, ...] = ()
    bos: int | None = None
    pad: int | None = None


class Session(Protocol):
    """One model decoding one batch. Row r's state never mixes with another row's.

    Optional: `step_last(tokens (B, K)) -> (B, V)`, the last column of `step` alone, where that is cheaper.
    `select` and `rewind` are called only where the capabilities say so; the engine feeds the history again elsewhere.
    """

    def prefill(self, input_ids: Tensor, attention_mask: Tensor | None = None, **model_inputs: Any) -> Tensor:
        """(B, T) int64 -> (B, V) logits after the last column. `attention_mask` (B, T) is 0 on left padding, and
        given only to sessions with `masks`. Called once, first."""
        ...

    def step(self, tokens: Tensor) -> Tensor:
        """(B, K) int64, the next K columns -> (B, K, V), which stay as they are until the next step."""
        ...

    def select(self, rows: Tensor) -> None:
        """(B',) int64: row i of the state becomes what row `rows[i]` was; rows may repeat or be dropped."""
        ...

    def rewind(self, counts: Tensor) -> None:
        """(B,) int64: forget that many of the newest columns, all the same unless the capability is "ragged"."""
        ...

    def close(self) -> None:
        """Gives caches back. Called once, last."""
        ...


class DecodableModel(Protocol):
    """What an adapter's factory returns: a model that opens sessions."""

    @property
    def facts(self) -> ModelFacts: ...

    def open(self, batch_size: int, length: int | None) -> Session:
        """A session for `batch_size` rows of at most `length` tokens (None: not known)."""
        ...


class Observer(Protocol):
    """Sees every step, changes nothing. `wants` says which of the methods are called; nothing is computed for an
    observer that is not there. Tensors are the engine's own: copy what you keep. `active` (R,) bool says which rows
    are generating in this step. An observer that keeps something a row may also have `on_select(rows (R',))` and
    `on_rewind(counts (R,))`, called when a strategy reorders rows or takes tokens back."""

    @property
    def wants(self) -> frozenset[str]:
        """A subset of {"tokens", "scores", "steps"}: `on_tokens`, `on_scores`, `on_step`."""
        ...


class TokenObserver(Protocol):
    def on_tokens(self, tokens: Tensor, active: Tensor, reasons: Sequence[str | None]) -> None:
        """(R,) int64, (R,) bool, and for each row why it finished, None while it goes on."""
        ...


class ScoreObserver(Protocol):
    def on_scores(self, raw: Tensor, processed: Tensor, active: Tensor) -> None:
        """(R, V) of the model, (R, V) of the recipe, (R,) bool."""
        ...


class StepObserver(Protocol):
    def on_step(self, name: str, before: Tensor, after: Tensor, active: Tensor) -> None:
        """One processor's work: (R, V) -> (R, V), (R,) bool."""
        ...


class Tokenizer(Protocol):
    """The face that every tokenizer wears inside decodery."""

    @property
    def bos(self) -> int | None: ...

    @property
    def eos(self) -> tuple[int, ...]: ...

    @property
    def pad(self) -> int | None: ...

    @property
    def size(self) -> int:
        """How many tokens it has."""
        ...

    def encode(self, text: str, special: bool = True) -> list[int]:
        """Token ids; with `special` the model's own beginning-of-text is added, as its tokenizer would."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text without special tokens; incomplete UTF-8 shows as U+FFFD."""
        ...


Options = Mapping[str, Any]
"""An adapter's options: those of `Decoder(adapter={"name": ..., **options})` and what `Decoder` was told of the
model (vocab_size, max_length, device)."""
