"""What plugins implement, and what they are handed. Shapes and dtypes are part of the contract.

Letters: R rows of the run (prompts x samples, or beams), T tokens, V vocabulary, K tokens at once.
ids are int64, scores float32 or float64 on the logits' device, `-inf` means banned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

    def without_replacement(self, scores: Tensor, count: int, rows: Tensor) -> Tensor:
        """(G, C) -> (G, count) int64: different draws from softmax(scores), in the order drawn. Group g uses the
        numbers of row `rows[g]`, (G,) int64."""
        ...

    def of_role(self, role: str, steps: Tensor) -> RunRng:
        """The numbers of another model's run beside these rows, whose generated tokens `steps` (R,) int64 counts."""
        ...


class TokenStrategy(Protocol):
    """A per-token strategy: the engine owns the loop. One that keeps something a row has `observe`, `select` and
    `rewind` too, as a processor has."""

    def choose(self, scores: Tensor, rng: Rng) -> Tensor:
        """(R, V) processed scores -> (R,) int64."""
        ...


class Strategy(Protocol):
    """A strategy that owns its loop, written against `Run`.

    `decode` may be a generator: at each `yield` what was appended so far is final and a stream shows it. One that only
    knows its result at the end yields nothing. Every unfinished row is active in such a run, whatever the lengths.
    """

    def decode(self, run: Run) -> Iterator[None] | None: ...


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
    hidden  the outputs of layers can be told: `watch` and `hidden`
    shared  several sessions may be open at once; without it a second one ends the first
    pads    a left-padded rectangle and its mask are taken, whatever becomes of the rows: what `compat: hf` asks
    """

    masks: bool = False
    select: bool = False
    rewind: Literal["ragged", "uniform", "none"] = "none"
    rewind_by: Literal["", "crop", "counter", "replay"] = ""
    static: bool = False
    hidden: bool = False
    shared: bool = True
    pads: bool = False


@dataclass(frozen=True, slots=True)
class EncoderFacts:
    """The encoder's side of an encoder-decoder, to which prompts go. None where an adapter cannot know.

    start       the token that every decoder prompt begins with
    max_length  the encoder's longest prompt
    takes_ids   prompts are token ids; otherwise they are features, which come as model inputs
    repeats     where prefill gets fewer rows for the encoder than for the decoder, each is encoded once and serves
                as many decoder rows, which stand together
    """

    start: int | None = None
    max_length: int | None = None
    vocab_size: int | None = None
    takes_ids: bool = True
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What an adapter knows of its model. None where it cannot know; `encoder` None means there is none, and
    the other facts are the decoder's. `layers` are those whose outputs can be watched, the embeddings not counted;
    `tied`: the output layer is the embeddings'."""

    vocab_size: int | None
    max_length: int | None
    device: torch.device
    dtype: torch.dtype
    capabilities: Capabilities = Capabilities()
    eos: tuple[int, ...] = ()
    bos: int | None = None
    pad: int | None = None
    encoder: EncoderFacts | None = None
    layers: int | None = None
    tied: bool = False


class Session(Protocol):
    """One model decoding one batch. Row r's state never mixes with another row's.

    Optional: `step_last(tokens (B, K)) -> (B, V)`, the last column of `step` alone, where that is cheaper.
    `select` and `rewind` are called only where the capabilities say so; the engine feeds the history again elsewhere.
    """

    def prefill(self, input_ids: Tensor, attention_mask: Tensor | None = None, **model_inputs: Any) -> Tensor:
        """(B, T) int64 -> (B, V) logits after the last column. `attention_mask` (B, T) is 0 on left padding, and
        given only to sessions with `masks`, under `compat: hf` also with `pads`. Called once, first.

        `model_inputs` are the caller's, a row each where they are tensors that go with the rows. With an encoder
        `input_ids` are the decoder's; `encoder_ids` (B, S) int64 are the prompts, right-padded, and `encoder_mask`
        (B, S) is 0 on their padding, given where there is any."""
        ...

    def step(self, tokens: Tensor) -> Tensor:
        """(B, K) int64, the next K columns -> (B, K, V), which stay as they are until the next step."""
        ...

    def select(self, rows: Tensor) -> None:
        """(B',) int64: row i of the state becomes what row `rows[i]` was; rows may repeat or be dropped, so that there
        are more or fewer than before."""
        ...

    def rewind(self, counts: Tensor) -> None:
        """(B,) int64: forget that many of the newest columns, all the same unless the capability is "ragged"."""
        ...

    def close(self) -> None:
        """Gives caches back. Called once, last."""
        ...


class WatchedSession(Session, Protocol):
    """A session with the capability `hidden`."""

    def watch(self, layers: Sequence[int]) -> None:
        """Called before `prefill`, only where the capabilities say `hidden`: keep the outputs of these layers."""
        ...

    def hidden(self) -> Tensor:
        """(L, B, K, H): what the layers being watched gave for the columns of the last call."""
        ...


class DecodableModel(Protocol):
    """What an adapter's factory returns: a model that opens sessions.

    Optional: `head(states (..., H)) -> (..., V)`, the output layer, beside sessions that tell hidden states.
    """

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
