"""Bias and bans of tokens, by id or by text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf

import torch
from torch import Tensor

from decodery.contracts.errors import InvalidInput
from decodery.contracts.protocols import Tokenizer

from ..rows.lengths import lengths_of, newest
from .spellings import Spellings
from .tokens import TokenOrText, need_tokenizer, single, token_ids, vocabulary


def add(scores: Tensor, edits: Sequence[tuple[int, int, float]]) -> Tensor:
    """Add to single scores: (R, V) float, (row, token, bias) -> (R, V), same dtype. -inf bans."""
    edits = [edit for edit in edits if 0 <= edit[1] < scores.shape[-1]]
    if not edits:
        return scores
    rows, tokens, values = zip(*edits, strict=True)
    device = scores.device
    at = (torch.tensor(rows, device=device), torch.tensor(tokens, device=device))
    return scores.index_put(at, torch.tensor(values, dtype=scores.dtype, device=device), accumulate=True)


class LogitBias:
    """Pairs of a token and a number that is added to its logit. OpenAI's `logit_bias`.

    A text stands for every token that completes it, in any split into tokens and with or without a space before it;
    of two biases that name one token both count. Without pairs it changes nothing.
    """

    owner = "logit_bias"

    def __init__(
        self,
        *,
        biases: Sequence[tuple[TokenOrText, float]] = (),
        ignore_case: bool = False,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        self.ids = [(token, bias) for token, bias in biases if isinstance(token, int) and bias]
        texts = [(text, bias) for text, bias in biases if isinstance(text, str) and bias]
        self.values = [bias for _, bias in texts]
        self.spellings: Spellings | None = None
        if texts:
            words = vocabulary(need_tokenizer(tokenizer, self.owner, texts[0][0]))
            self.spellings = Spellings(words, [text for text, _ in texts], ignore_case=ignore_case)
            for place, (text, bias) in enumerate(texts):
                special = single(words.tokenizer, text)
                if special and not any(at == place for at, _ in self.spellings.alone):
                    self.ids += [(token, bias) for token in special]

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) float, (R,) int64, (R,) int64 -> (R, V). Raises `InvalidInput` for ids outside it."""
        _refuse_outside(self.owner, (token for token, _ in self.ids), scores.shape[-1])
        edits = [(row, token, bias) for row in range(len(scores)) for token, bias in self.ids]
        if self.spellings is not None:
            tails = newest(input_ids, lengths_of(input_ids, lengths), self.spellings.reach)
            for row, tail in enumerate(tails):
                completed = sorted(self.spellings.completing(tail))
                edits += [(row, token, self.values[place]) for place, token in completed]
        return add(scores, edits)


class BannedTokens(LogitBias):
    """Tokens that never come; a text is never completed. Without any it changes nothing."""

    owner = "banned_tokens"

    def __init__(
        self,
        *,
        tokens: Sequence[TokenOrText] = (),
        ignore_case: bool = False,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        super().__init__(
            biases=[(token, -inf) for token in tokens], ignore_case=ignore_case, tokenizer=tokenizer
        )


def only(scores: Tensor, allowed: Tensor) -> Tensor:
    """Ban everything else: (R, V) float, (V,) bool -> (R, V), same dtype."""
    return scores.masked_fill(~allowed, -inf)


class AllowedTokens:
    """The only tokens that may come: ids, or texts of one token, with or without a space before them. vLLM's
    allowed_token_ids. Without any it changes nothing."""

    def __init__(
        self,
        *,
        tokens: Sequence[TokenOrText] = (),
        ignore_case: bool = False,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        ids = token_ids(tokens, tokenizer, "allowed_tokens", ignore_case=ignore_case)
        self.known = tuple(sorted(ids))
        self.ids = torch.tensor(self.known, dtype=torch.int64)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T) int64, (R, V) float -> (R, V). Raises `InvalidInput` for ids outside the vocabulary."""
        if not self.known:
            return scores
        _refuse_outside("allowed_tokens", self.known, scores.shape[-1])
        none = torch.zeros(scores.shape[-1], dtype=torch.bool, device=scores.device)
        return only(scores, none.scatter(0, self.ids.to(scores.device), True))


def _refuse_outside(owner: str, ids: Iterable[int], vocab_size: int) -> None:
    outside = sorted({token for token in ids if not 0 <= token < vocab_size})
    if outside:
        raise InvalidInput(
            f"{owner}: the token ids {outside} are outside the vocabulary of {vocab_size}",
            remedy="take the ids from this model's tokenizer",
        )
