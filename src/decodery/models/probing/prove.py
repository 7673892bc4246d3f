"""Is the cache of a transformers model true, and does the model look at its mask? A few calls, once a module.

One session answers both: of two rows the first is left-padded, and each is held against the whole context of its own
text, fed without a cache and without padding.
"""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ...contracts.errors import ModelError
from ..calling import Call, module_of
from ..facts import window_of
from ..forward import Forward
from ..keeping.module import EvalMode, left_as_found
from .rounding import gap_of, tolerance
from .verify import LONGEST_WINDOW, TOTAL, position_gaps, random_ids

STEPS, PADDING = 3, 2
"""One-token calls after the first, and the columns by which the first row is padded."""
SPECIAL = re.compile(r"_token_(id|ids|index)$")


@dataclass(frozen=True, slots=True)
class Proof:
    """Differences of log-probability from the whole context: `difference` of cached steps, `padded` of those behind
    padding; what rounding explains, and the tokens compared. `failure` is what the cache raised, `untried` why there
    is nothing to compare with."""

    difference: float = 0.0
    padded: float = 0.0
    allowed: float = 0.0
    compared: int = 0
    failure: str = ""
    untried: str = ""


class Session(Protocol):
    def prefill(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **model_inputs: Any
    ) -> Tensor: ...
    def step(self, tokens: Tensor) -> Tensor: ...
    def close(self) -> None: ...


class Owner(Protocol):
    """Whose cache it is: `begin(rows, length, model)` is a session that calls `model`."""

    model: Callable[..., Any]
    call: Call
    config: Any
    evaluation: EvalMode
    width: int | None

    @property
    def facts(self) -> Any: ...
    def begin(self, rows: int, length: int, model: Callable[..., Any]) -> Session: ...


# Outside the modules, which are saved and copied; weak, so that a module's end is the end of its entry.
_PROOFS: weakref.WeakKeyDictionary[nn.Module, dict[str, Proof]] = weakref.WeakKeyDictionary()
_GUARD = threading.Lock()


def proved(owner: Owner, manner: str, how: Callable[[Any], Proof] | None = None) -> Proof:
    """The proof of `owner`'s cache in this `manner`, by `how` or by `prove`. It is remembered where it held, since the
    next decoder of the same module asks again; what failed may have been mended."""
    module: Any = module_of(owner.model)
    manner = f"{manner}, {owner.facts.dtype}, {owner.facts.device}"
    with _GUARD:
        known = _PROOFS.setdefault(module, {})
    if manner not in known:
        with left_as_found(module):
            proof = (how or prove)(owner)
        if proof.untried or proof.difference > proof.allowed:
            return proof
        known[manner] = proof
    return known[manner]


def prove(owner: Owner) -> Proof:
    """One call with the whole context, one with a prompt, `STEPS` with a token each. Raises only for want of memory."""
    facts = owner.facts
    # What torch.compile makes of a model is tried by whoever decodes: every shape here would be compiled for.
    model: Any = getattr(owner.model, "_orig_mod", owner.model)
    window = window_of(owner.model) or 0
    total = max(TOTAL, window + 6 if window <= LONGEST_WINDOW else 0)
    total = min(total, facts.max_length or total)
    first = total - STEPS
    if first < 1:
        return Proof(untried=f"the context of {facts.max_length} tokens is too short to try it")
    pad = PADDING if facts.capabilities.pads and first > PADDING else 0
    ids = without(special_ids(owner.config), random_ids(2, total, facts.vocab_size), facts.vocab_size or 2)
    try:
        whole = _whole(owner, model, ids, STEPS + 1 + pad)
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:
        return Proof(untried=f"a call with ids alone fails: {_said(error)}")
    if whole.shape[1] < STEPS + 1 + pad:
        return Proof(untried="it answers for the last position only")
    allowed = tolerance(whole, facts.dtype)
    try:
        seen = _stepped(owner.begin(2, total, model), ids, first, pad)
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:
        return Proof(difference=float("inf"), allowed=allowed, failure=f"fails with it: {_said(error)}")
    count = whole.shape[1]
    truth = torch.stack([whole[0, count - pad - STEPS - 1 : count - pad], whole[1, count - STEPS - 1 :]])
    padded, plain = _gaps(seen, truth, facts.dtype)
    return Proof(difference=plain, padded=padded, allowed=allowed, compared=total)


def prove_beside_encoder(owner: Any) -> Proof:
    """The same for an encoder-decoder: of two prompts the first is padded for the encoder."""
    facts, model = owner.facts, getattr(owner.model, "_orig_mod", owner.model)
    if facts.encoder is None or not facts.encoder.takes_ids:
        return Proof(untried="its encoder takes no ids: there is nothing to try it with")
    special = special_ids(owner.config)
    size, both = facts.vocab_size or 2, min(facts.vocab_size or 2, facts.encoder.vocab_size or 2)
    total = min(TOTAL, facts.max_length or TOTAL)
    first = total - STEPS
    if first < 1:
        return Proof(untried=f"the context of {facts.max_length} tokens is too short to try it")
    width = min(TOTAL - STEPS, facts.encoder.max_length or TOTAL)
    pad = PADDING if width > PADDING else 0
    ids = without(special, random_ids(2, total, size), size)
    shown = without(special, random_ids(2, width, both), both)
    mask = torch.ones_like(shown)
    mask[0, width - pad :] = 0
    forward = Forward(model, owner.call, owner.evaluation, facts.device, owner.width)
    try:
        wholes = []
        for row, length in ((0, width - pad), (1, width)):
            heard = shown[row : row + 1, :length].to(facts.device)
            given = {owner.features: heard, "use_cache": False, "return_dict": True}
            wholes.append(forward.found_in(forward.run(ids[row : row + 1], given), 1, total))
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:
        return Proof(untried=f"a call with ids alone fails: {_said(error)}")
    finally:
        forward.close()
    whole = torch.cat(wholes)[:, -STEPS - 1 :]  # 2 x (1, T, V) -> (2, STEPS + 1, V)
    allowed = tolerance(whole, facts.dtype)
    try:
        session = owner.begin(2, total, model)
        beside = {"encoder_ids": shown, "encoder_mask": mask if pad else None}
        seen = _columns(session, ids, first, beside)
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:
        return Proof(difference=float("inf"), allowed=allowed, failure=f"fails with it: {_said(error)}")
    padded, plain = _gaps(seen, whole, facts.dtype)
    return Proof(difference=plain, padded=padded, allowed=allowed, compared=total)


def _whole(owner: Owner, model: Any, ids: Tensor, count: int) -> Tensor:
    """(B, T) int64 -> (B, T', V), the newest `count` positions at least."""
    inputs: dict[str, Any] = {"use_cache": False, "return_dict": True}
    if "logits_to_keep" in owner.call.accepts:
        inputs["logits_to_keep"] = count
    forward = Forward(model, owner.call, owner.evaluation, owner.facts.device, owner.width)
    try:
        return forward.found_in(forward.run(ids, inputs), *ids.shape)
    finally:
        forward.close()


def _stepped(session: Session, ids: Tensor, first: int, pad: int) -> Tensor:
    """(2, T) int64 -> (2, STEPS + 1, V): a prompt of `first` columns and one-token steps. Row 0 begins with `pad`
    columns of padding, and is behind row 1 by as many tokens."""
    fed = torch.stack([torch.cat([ids[0, :pad], ids[0, : ids.shape[1] - pad]]), ids[1]])
    mask = torch.ones_like(fed)[:, :first]
    mask[0, :pad] = 0
    return _columns(session, fed, first, {"attention_mask": mask if pad else None})


def _columns(session: Session, fed: Tensor, first: int, beside: dict[str, Any]) -> Tensor:
    """(2, T) int64 -> (2, STEPS + 1, V), and the session is over."""
    try:
        seen = [session.prefill(fed[:, :first], **beside)]
        seen += [session.step(fed[:, at : at + 1])[:, -1] for at in range(first, fed.shape[1])]
        return torch.stack(seen, dim=1)
    finally:
        session.close()


def _gaps(seen: Tensor, truth: Tensor, weights: torch.dtype) -> tuple[float, float]:
    """(2, n, V) twice -> the difference of either row."""
    gaps = position_gaps(seen, truth)
    one, other = (gap_of(gap, truth.dtype, weights) for gap in gaps)
    return one, other


def lied(name: str, argument: str, proof: Proof) -> str:
    """What is wrong with a cache, in words."""
    return f"{name} takes {argument}, but " + (
        proof.failure
        or "steps with its cache are not those of the whole context: log-probabilities differ by "
        f"{proof.difference:.3g} (rounding explains {proof.allowed:.3g})"
    )


def special_ids(config: Any) -> set[int]:
    """Ids that mean something to a model itself: pads, ends, the places of images and sounds."""

    def found(values: Mapping[str, Any]) -> Iterator[int]:
        for name, value in values.items():
            if isinstance(value, Mapping):
                yield from found(value)
            elif SPECIAL.search(str(name)):
                items = value if isinstance(value, (list, tuple)) else [value]
                yield from (item for item in items if isinstance(item, int) and not isinstance(item, bool))

    return set(found(config.to_dict()))


def without(special: set[int], ids: Tensor, vocab_size: int) -> Tensor:
    """(B, T) int64 -> the same, special ids replaced by others, if there are any."""
    plain = [token for token in range(min(vocab_size, len(special) + 8)) if token not in special]
    if not plain:
        return ids
    hit = torch.isin(ids, torch.tensor(sorted(special), dtype=ids.dtype))
    others = torch.tensor(plain, dtype=ids.dtype)[torch.arange(ids.numel()) % len(plain)].view_as(ids)
    return torch.where(hit, others, ids)


def _said(error: Exception) -> str:
    """The model's own words: what we asked of it is known."""
    cause = error.__cause__ if isinstance(error, ModelError) and error.__cause__ is not None else error
    words = getattr(cause, "message", "") or f"{type(cause).__name__}: {cause}"
    return str(words).strip().splitlines()[0]
