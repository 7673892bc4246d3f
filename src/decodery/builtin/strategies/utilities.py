"""Scores of a text and utilities of two texts, by the names that recipes use; texts are sequences of token ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def mean_logprob(tokens: Sequence[int], logprobs: Sequence[float]) -> float:
    """The mean of the log-probabilities; that of an empty text is 0."""
    return sum(logprobs) / max(len(logprobs), 1)


def sum_logprob(tokens: Sequence[int], logprobs: Sequence[float]) -> float:
    """The log-probability of the whole text."""
    return sum(logprobs)


def exact(hypothesis: Sequence[int], reference: Sequence[int]) -> float:
    """1 where both are the same."""
    return float(tuple(hypothesis) == tuple(reference))


def token_f1(hypothesis: Sequence[int], reference: Sequence[int]) -> float:
    """The harmonic mean of precision and recall of tokens, whatever their order (Rajpurkar et al. 2016, SQuAD)."""
    if not hypothesis or not reference:
        return float(not hypothesis and not reference)
    shared = (Counter(hypothesis) & Counter(reference)).total()
    return 2 * shared / (len(hypothesis) + len(reference))


def edit_similarity(hypothesis: Sequence[int], reference: Sequence[int]) -> float:
    """1 less the Levenshtein distance over the greater length."""
    longest = max(len(hypothesis), len(reference))
    if not longest:
        return 1.0
    row = list(range(len(reference) + 1))
    for i, token in enumerate(hypothesis, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(reference, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (token != other))
    return 1 - row[-1] / longest


SCORES = {"mean_logprob": mean_logprob, "sum_logprob": sum_logprob}
UTILITIES = {"exact": exact, "token_f1": token_f1, "edit_similarity": edit_similarity}
