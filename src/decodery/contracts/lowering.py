"""What the engine understands of a step: of a processor edits, maps and truncations, of a stop rule endings.

A step's `lowering(params, facts)` describes it in these words, so that a run of steps can become one pass over the
row. It returns one description, a tuple of them (in order), `()` where these parameters change nothing, or None where
they cannot be described: then the step is opaque, which always works and costs the dense path up to itself. The step
itself stays the judge: whatever is fused draws its very tokens.

    def lower_min_p(params, facts):                       # "acme_decode.lowerings:lower_min_p"
        return Truncation("ratio", params.p, min_keep=params.min_keep) if params.p else ()

`params` is the step's own params object, its `min_keep` already raised to the strategy's. The module is imported at
the first bind; it may import torch. Letters: R rows, T tokens, V vocabulary, E edits a row, K candidates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from .errors import PluginError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .protocols import Tokenizer

Mode = Literal["add", "set", "scale_by_sign"]
MapKind = Literal["temperature", "renormalise", "custom"]
TruncationKind = Literal["k", "mass", "ratio", "floor", "eta", "sigma", "typical", "custom"]
Reach = Literal["each", "allowed"]


class LoweringFacts(Protocol):
    """The facts of the run, of all its rows at once; those that the step `needs` are known."""

    prompt_lengths: Tensor
    """(R,) int64."""
    device: torch.device
    eos: tuple[int, ...]
    pad: int | None
    vocab_size: int | None
    tokenizer: Tokenizer | None
    encoder_ids: Tensor | None
    """(R, S) int64."""
    encoder_lengths: Tensor | None
    """(R,) int64: how many of them count."""
    padding: Tensor | None
    """(R,) int64: how many pads begin each row, in transformers' own layout."""
    max_length: int | None


class EditSource(Protocol):
    """Which tokens an edit touches in each row.

    A source that keeps state has all of `begin`, `observe`, `select` and `rewind` too; one without them must answer
    from the arguments alone. `begin` is called first, and again whenever the rows are others: it forgets everything
    and reads the history once. From then on `observe` tells of each token, so that a step's cost need not grow with
    the text. One with an attribute `greatest` says the greatest id that it can touch: where the vocabulary has not got
    it, the step itself is asked, which may refuse. One with an attribute `follows` may be replaced by a backend's own
    history of that description. One with `of_one` can say what it does to an only row without listing it.

        begin(ids (R, T) int64, lengths (R,) int64)
        observe(tokens (R,) int64, active (R,) bool)
        select(rows (R',) int64)           row i becomes what row rows[i] was; a repeated row needs state of its own
        rewind(counts (R,) int64)          forget that many of each row's newest tokens
        of_one(ids, lengths) -> (tokens, value, numbers)
                                           of the only row: the tokens, which are looked up in it; `value(token)`, the
                                           number of one of them; and numbers of which the others are multiples
    """

    def edits(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(R, T) int64 right-padded, (R,) int64 -> (ids (R, E) int64, values (R, E) float32), on the device
        of `ids`; either may have 1 in the place of R, and the values 1 in the place of E.

        -1 in the ids marks a slot without an edit; other ids outside the vocabulary are ignored as well. An id occurs
        once a row, or with equal values where the mode is not "add". E may be 0, and differ from call to call.
        """
        ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same tokens in every row at every step: `values` has one number an id, or one for all. Where the vocabulary
    lacks one of the ids, the step itself is asked."""

    ids: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """The tokens that occurred, once each, however often: among the newest `window` of the text (None: all of it) and
    in the part that `scope` names. With `times` a token's number is `value` x how often it occurred, in float32."""

    value: float
    window: int | None = None
    scope: Literal["all", "prompt", "output"] = "all"
    times: bool = False
    padding: Tensor | None = None
    """(R,) int64: pads that begin the rows and do not count; see `LoweringFacts.padding`."""


@dataclass(frozen=True, slots=True)
class Follows:
    """The tokens that followed an earlier occurrence of the row's end, of the longest end for each: `values[k - least]`
    is what an edit is given for one of k tokens, `least` to `most`. No end reaches across one of `breakers`, which are
    not touched themselves. `padding` (R,) int64: see `LoweringFacts.padding`."""

    least: int
    most: int
    values: tuple[float, ...]
    breakers: frozenset[int] = frozenset()
    padding: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """Changes the scores of few tokens, exactly as the step would, in the dtype of the scores:

    add            score + value
    set            value (-inf bans); a step that would not revive a banned token must not set it to something else
    scale_by_sign  score * value where score < 0, else score / value
    """

    source: Fixed | Seen | EditSource
    mode: Mode


@dataclass(frozen=True, slots=True)
class Map:
    """Changes every score, never the order of two.

    temperature    score / value
    renormalise    log_softmax(score)
    custom         `apply(values (R, K) float, descending, -inf where banned) -> (R, K)`, in the very operations of the
                   step. `reach` says what one answer depends on: "each", its own value and the row's greatest, which
                   comes first; or "allowed", all that are not banned (sums over them may round otherwise than the
                   step's own: the draw is checked again where that could decide).

    `value` is a number, or (R,) float32 with one for each row.
    """

    kind: MapKind
    value: float | Tensor = 1.0
    apply: Callable[[Tensor], Tensor] | None = None
    reach: Reach = "each"

    def __post_init__(self) -> None:
        if (self.kind == "custom") is not (self.apply is not None):
            raise PluginError(f"Map({self.kind!r}): 'apply' belongs to the kind 'custom', and to no other")


@dataclass(frozen=True, slots=True)
class Truncation:
    """Bans tokens by their standing among those not banned yet; the `min_keep` best stay (of "typical": the nearest).
    With p = softmax(score), p_1 its greatest, H the entropy in nats:

    k              the `value` best and all that tie with the last of them
    mass           the tail of least likely tokens whose p sum to at most 1 - value (top-p, as transformers sums it)
    ratio          p < value * p_1 (min-p)
    floor          p < value (epsilon)
    eta            p < min(value, sqrt(value) * exp(-H))
    sigma          score < max - value * sd, the population's, over what is not banned (top-n-sigma)
    typical        what is further from H in surprise than the nearest tokens that together hold the mass `value`
    custom         `keep(log_probs (R, K) float64, descending, -inf where banned) -> (R, K) float64`: how surely each
                   token stays. Positive keeps, negative bans; within 1e-5 of 0 it counts as undecided, and the step
                   itself is asked where that could decide the draw. `reach` "each": the answer for a token depends on
                   its own and better tokens, and if it goes, worse ones go too, so that the best few of a row suffice;
                   "allowed": on all that are not banned. The kinds above have C++ twins; custom ones run in torch.

    `value` is a number, or (R,) float32 with one for each row.
    """

    kind: TruncationKind
    value: float | Tensor = 0.0
    min_keep: int = 1
    keep: Callable[[Tensor], Tensor] | None = None
    reach: Reach = "allowed"

    def __post_init__(self) -> None:
        if (self.kind == "custom") is not (self.keep is not None):
            raise PluginError(
                f"Truncation({self.kind!r}): 'keep' belongs to the kind 'custom', and to no other"
            )


Lowered = Edit | Map | Truncation
"""One description of a processor. A lowering returns `Lowered | tuple[Lowered, ...] | None`."""


@dataclass(frozen=True, slots=True)
class AtLength:
    """A stop rule that ends a row at `most` tokens, or at so many beyond its prompt."""

    most: int
    beyond_prompt: bool = False


@dataclass(frozen=True, slots=True)
class AtTokens:
    """A stop rule that ends a row whose newest token is one of these."""

    ids: frozenset[int]


Ending = AtLength | AtTokens
"""One description of a stop rule. A lowering returns `Ending | tuple[Ending, ...] | None`."""


def as_lowered(answer: object, owner: str) -> tuple[Lowered, ...] | None:
    """What a processor's lowering returned, as a tuple; None for an opaque step. Raises `PluginError` for anything
    else."""
    return _checked(answer, owner, (Edit, Map, Truncation), "an Edit, Map or Truncation")


def as_endings(answer: object, owner: str) -> tuple[Ending, ...] | None:
    """The same of a stop rule."""
    return _checked(answer, owner, (AtLength, AtTokens), "an AtLength or AtTokens")


def _checked(answer: object, owner: str, kinds: tuple[type, ...], what: str) -> tuple[Any, ...] | None:
    if answer is None:
        return None
    parts = answer if isinstance(answer, tuple) else (answer,)
    wrong = next((part for part in parts if not isinstance(part, kinds)), None)
    if wrong is not None:
        raise PluginError(
            f"the lowering of {owner!r} returned {type(wrong).__name__}",
            remedy=f"return {what}, a tuple of them, or None",
        )
    return parts
