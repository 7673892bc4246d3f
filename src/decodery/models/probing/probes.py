"""What shapes cannot show: three sessions on tiny random ids tell a sound model from a quietly wrong one.

determinism       the same ids twice: if the answers differ, dropout is on or state is hidden
row independence  another row 0: if row 1 moves, the model is time-first, or its rows are mixed
causality         another last token: if earlier answers move, the model looks ahead
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...contracts.errors import ModelError
from ...contracts.protocols import DecodableModel
from .rounding import tolerance
from .verify import newest_difference, random_ids

LENGTH = 4


class TimeFirst(ModelError):
    """The model takes (T, B) for what it is given as (B, T)."""


class OneRow(ModelError):
    """The model fails on two rows and answers for one."""


def observe(decodable: DecodableModel, name: str) -> list[str]:
    """Warnings about the model's behaviour, empty for a sound one.

    Raises `TimeFirst` where decoding would be garbage, `OneRow` for a model that takes one row at a time, and
    `ModelError` where even that fails.
    """
    facts = decodable.facts
    if facts.max_length is not None and facts.max_length < LENGTH:
        return [f"the context of {facts.max_length} tokens is too short to try the model"]
    ids = random_ids(2, LENGTH, facts.vocab_size)
    try:
        base = _answers(decodable, ids)
    except ModelError as error:
        # Unbatched models are a kind of their own; where one row fails too, its error is the one to read.
        _answers(decodable, ids[:1])
        raise OneRow(f"{name} takes one row at a time (two rows: {error.message})") from error
    allowed = tolerance(base, facts.dtype)
    warnings = _width(base, facts.vocab_size, name)
    if newest_difference(base, _answers(decodable, ids)) > allowed:
        return [
            *warnings,
            f"{name} is not deterministic: the same ids gave different logits; dropout is on in eval mode, "
            "or the model keeps state between calls: give F.dropout training=self.training, or clear the state",
        ]
    return warnings + _dependence(decodable, ids, base, allowed, name)


def _dependence(decodable: DecodableModel, ids: Tensor, base: Tensor, allowed: float, name: str) -> list[str]:
    """ids (2, 4) int64, base (2, 3, V): one more session when all is well, up to three otherwise."""
    size = decodable.facts.vocab_size or 2
    both = ids.clone()
    both[0] = (ids[0] + 1) % size
    both[1, -1] = (ids[1, -1] + 1) % size
    moved = _answers(decodable, both)
    if size > 1 and newest_difference(moved[:1], base[:1]) == 0:
        return [f"{name} gave the same logits for different tokens: they do not depend on what it is fed"]
    if newest_difference(moved[1:, :-1], base[1:, :-1]) <= allowed:
        return []
    rows = ids.clone()
    rows[0] = both[0]
    if newest_difference(_answers(decodable, rows)[1:], base[1:]) <= allowed:
        return [f"{name} is not causal: a later token changes the logits of earlier positions; "
                "is its attention mask missing? Attention wants is_causal=True"]  # fmt: skip
    columns = ids.clone()
    columns[:, -2] = (ids[:, -2] + 1) % size
    # Columns that know nothing of each other are what this model takes for rows.
    if newest_difference(_answers(decodable, columns)[:, -1:], base[:, -1:]) <= allowed:
        raise TimeFirst(
            f"{name} is time-first: it takes ids of shape (T, B), and mixes the rows of a batch (B, T)",
            remedy="say adapter={'time_first': True}, or turn both ends: "
            "Decoder(lambda ids: model(ids.t()).transpose(0, 1), vocab_size=...)",
        )
    return [f"{name} mixes rows: another row 0 changes the logits of row 1; texts will depend on their batch, "
            "unless adapter='rows' decodes them one by one"]  # fmt: skip


def _answers(decodable: DecodableModel, ids: Tensor) -> Tensor:
    """(B, 4) int64 -> logits of the newest three, (B, 3, V): a prompt of two tokens, then two at once."""
    session = decodable.open(ids.shape[0], ids.shape[1])
    try:
        first = session.prefill(ids[:, :2].to(decodable.facts.device))
        rest = session.step(ids[:, 2:].to(decodable.facts.device))
        return torch.cat([first.unsqueeze(1), rest], dim=1)  # (B, V), (B, 2, V) -> (B, 3, V)
    finally:
        session.close()


def _width(logits: Tensor, vocab_size: int | None, name: str) -> list[str]:
    width = logits.shape[-1]
    if vocab_size is None or width == vocab_size:
        return []
    reason = (
        "hidden states instead of logits? adapter={'logits': model.head} names the head"
        if width < vocab_size
        else f"a padded vocabulary, whose last ids mean nothing? vocab_size={vocab_size} cuts them off"
    )
    return [
        f"{name} answers with {width} numbers a token, but its vocabulary should have {vocab_size}: {reason}"
    ]
