"""Models by name, and adapters with a model that they drive: sessions keep what they promise."""

from __future__ import annotations

import random
from typing import Any

import torch
from torch import Tensor

from ...contracts.specs import AdapterSpec, resolve
from ...engine.io.tokenizer import as_tokenizer
from ..case import Case
from ..opened import Opened, opened
from .check import check, require

TEXT = "It was a dark night, and nobody came."


@check(
    "adapter", remedy="return the evidence in words, or None; a probe must bear whatever a user calls a model"
)
def probe_bears_strangers(case: Case) -> None:
    """Nothing that it does not know makes it raise, and no generator is moved by looking."""
    if not isinstance(case.spec, AdapterSpec):
        raise TypeError(f"{case.spec.name!r} is no adapter")
    probe = resolve(case.spec.probe, f"adapter {case.spec.name!r}")
    for stranger in (object(), lambda x: x, torch.nn.Linear(2, 2), None, "model"):
        state, python = torch.get_rng_state(), random.getstate()
        evidence = probe(stranger, {})
        told = evidence is None or isinstance(evidence, str)
        require(told, f"has a probe that answers {type(evidence).__name__} of {type(stranger).__name__}")
        still = torch.equal(state, torch.get_rng_state()) and python == random.getstate()
        require(still, "has a probe that draws random numbers")


@check(
    "opens",
    remedy="let the model answer (B, T) ids with logits (B, T, V) or (B, V), or bring an adapter for it",
)
def opens_and_answers(case: Case) -> None:
    """An adapter drives it, and its facts fit its logits."""
    model = opened(case)
    logits = model.whole(model.ids)
    size = model.facts.vocab_size
    require(logits.ndim == 2, f"answers ids (B, T) with a tensor of shape {tuple(logits.shape)}, not (B, V)")
    require(
        size in (None, logits.shape[-1]),
        f"says vocab_size {size} and answers {logits.shape[-1]} scores a row",
    )
    require(bool(logits.isfinite().any(-1).all()), "answers without a finite score")


@check(
    "opens",
    remedy="a cache must give what the whole context gives: check positions, and that nothing is left over",
)
def steps_equal_the_whole_context(case: Case) -> None:
    """A token at a time, and several at a time, as the context fed whole; a second session is not told of the first."""
    model = opened(case)
    ids = model.ids
    length = ids.shape[1]
    # Beforehand: a model with a cache inside serves one session at a time.
    wanted = {at: model.whole(ids[:, :at]) for at in range(1, length + 1)}
    for cuts in ((1,) * (length - 1), *([(1, length - 3, 1)] if length > 3 else [])):
        session = model.decodable.open(len(ids), length)
        try:
            at = length - sum(cuts)
            answers = {at: session.prefill(ids[:, :at])}
            for cut in cuts:
                at += cut
                answers[at] = session.step(ids[:, at - cut : at])[:, -1]
        finally:
            session.close()
        for at, answer in answers.items():
            _check_equal(model, answer, wanted[at], f"after {at} tokens")


@check("opens", remedy="reduce over no dimension that holds rows; keep a row's cache to itself")
def a_row_alone_equals_the_row_in_its_batch(case: Case) -> None:
    model = opened(case)
    together = model.whole(model.ids)
    for row in range(len(model.ids)):
        alone = model.whole(model.ids[row : row + 1])
        _check_equal(model, alone, together[row : row + 1], f"in row {row} alone")


@check("opens", remedy="do what the capability says, or declare less in ModelFacts.capabilities")
def capabilities_hold(case: Case) -> None:
    """masks: left padding is not seen; select: rows move, repeat and go; rewind: tokens are forgotten."""
    model = opened(case)
    if model.facts.capabilities.masks:
        _check_masks(model)
    if model.facts.capabilities.select:
        _check_select(model)
    if model.facts.capabilities.rewind != "none":
        _check_rewind(model)


@check(
    "model", remedy="return (model, tokenizer) where the tokenizer is the one that the model was trained with"
)
def tokenizer_fits_the_model(case: Case) -> None:
    """Where it brings one: ids within the vocabulary, and text comes back."""
    model = opened(case)
    if model.tokenizer is None:
        return
    tokenizer: Any = as_tokenizer(model.tokenizer)
    size = model.facts.vocab_size
    ids = tokenizer.encode(TEXT)
    require(bool(ids), "has a tokenizer that makes no token of a sentence")
    require(
        size is None or max((*ids, *tokenizer.eos)) < size, f"has token ids beyond its vocabulary of {size}"
    )
    text = tokenizer.decode(ids)
    require(bool(text.strip()), f"has a tokenizer that reads {TEXT!r} back as {text!r}")
    # Some fold letters or spaces: what they made of the text once, they must make again.
    again = tokenizer.decode(tokenizer.encode(text))
    require(again == text, f"has a tokenizer that reads {text!r}, its own words, back as {again!r}")


def _check_masks(model: Opened) -> None:
    ids = model.ids
    padded = torch.cat([torch.zeros_like(ids[:, :2]), ids[:, :-2]], 1)  # (R, 2), (R, T - 2) -> (R, T)
    mask = torch.ones_like(padded)
    mask[:, :2] = 0
    _check_equal(model, model.whole(padded, mask), model.whole(ids[:, :-2]), "behind left padding (masks)")


def _check_select(model: Opened) -> None:
    ids, order = model.ids, torch.tensor([2, 0, 0], device=model.ids.device)
    session = model.decodable.open(len(ids), ids.shape[1])
    try:
        session.prefill(ids[:, :-1])
        session.select(order)
        answer = session.step(ids[:, -1:])[:, -1]
    finally:
        session.close()
    moved = torch.cat([ids[order, :-1], ids[:, -1:]], 1)  # (R, T - 1), (R, 1) -> (R, T)
    _check_equal(model, answer, model.whole(moved), "after rows moved (select)")


def _check_rewind(model: Opened) -> None:
    ids = model.ids
    session = model.decodable.open(len(ids), ids.shape[1])
    try:
        session.prefill(ids[:, :-3])
        for at in (-2, -3):  # the right tokens in the wrong order
            session.step(ids[:, at, None])
        session.rewind(torch.full((len(ids),), 2, device=ids.device))
        for at in (-3, -2, -1):
            answer = session.step(ids[:, at, None])[:, -1]
    finally:
        session.close()
    _check_equal(model, answer, model.whole(ids), "after tokens were taken back (rewind)")


def _check_equal(model: Opened, found: Tensor, wanted: Tensor, where: str) -> None:
    gap = model.differ(found, wanted)
    require(
        gap <= 0, f"answers otherwise than for the whole context {where}, by {gap:.1g} more than rounding"
    )


CHECKS = (
    probe_bears_strangers,
    opens_and_answers,
    steps_equal_the_whole_context,
    a_row_alone_equals_the_row_in_its_batch,
    capabilities_hold,
    tokenizer_fits_the_model,
)
