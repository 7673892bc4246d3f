"""Several samples of each prompt, and which of them to give: the likeliest, the most frequent, the most agreeable."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ...contracts.errors import InvalidInput
from ...contracts.protocols import Run, Tokenizer
from .utilities import SCORES, UTILITIES

Utility = Callable[[Sequence[int], Sequence[int]], float]
"""(a hypothesis, a reference), both new tokens -> how well the first would do if the second were right."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One sampled text: new tokens, why it ends, and the model's log-probability of each token."""

    tokens: tuple[int, ...]
    reason: str
    logprobs: tuple[float, ...]


class Ensemble(ABC):
    """Draws `num_samples` texts a prompt, of which `chosen` gives the best first, each with its score."""

    ranks = True

    def __init__(self, *, num_samples: int) -> None:
        self.num_samples = num_samples

    def decode(self, run: Run) -> None:
        """Raises `InvalidInput` when more results are wanted than samples are drawn."""
        prompts, count = len(run.reasons), self.num_samples
        if run.samples > count:
            raise InvalidInput(
                f"{run.samples} results a prompt of {count} samples", remedy="raise num_samples"
            )
        run.select(torch.arange(prompts, device=run.lengths.device).repeat_interleave(count))
        try:
            logprobs = sampled(run)
        except KeyboardInterrupt:
            for prompt in range(prompts):
                row = prompt * count
                run.emit(prompt, run.generated(row), 0.0, run.reasons[row] or "interrupted")
            raise
        for prompt in range(prompts):
            rows = range(prompt * count, (prompt + 1) * count)
            samples = [
                Sample(tuple(run.generated(r)), run.reasons[r] or "", tuple(logprobs[r])) for r in rows
            ]
            for sample, score in self.chosen(samples, run.tokenizer)[: run.samples]:
                run.emit(prompt, sample.tokens, score, sample.reason)

    @abstractmethod
    def chosen(self, samples: Sequence[Sample], tokenizer: Tokenizer | None) -> list[tuple[Sample, float]]:
        """The samples with their scores, the best first."""


class BestOf(Ensemble):
    """The samples with the highest score: the mean or the sum of the model's log-probabilities, or a callable of a
    sample's tokens and log-probabilities."""

    def __init__(
        self,
        *,
        num_samples: int,
        score: str | Callable[[Sequence[int], Sequence[float]], float] = "mean_logprob",
    ) -> None:
        super().__init__(num_samples=num_samples)
        self.score = SCORES[score] if isinstance(score, str) else score

    def chosen(self, samples: Sequence[Sample], tokenizer: Tokenizer | None) -> list[tuple[Sample, float]]:
        scored = [(sample, float(self.score(sample.tokens, sample.logprobs))) for sample in samples]
        return sorted(scored, key=lambda pair: -pair[1])


class Majority(Ensemble):
    """Self-consistency (Wang et al. 2023, arXiv 2203.11171): the answer that most samples give.

    The answer is what `answer`, a regular expression, finds last in the text (its first group, if it has one), or
    without it the tokens as a whole. Of an answer the likeliest sample is given; the score is its share of the samples.
    A text without an answer votes for nothing.
    """

    def __init__(self, *, num_samples: int, answer: str = "") -> None:
        super().__init__(num_samples=num_samples)
        self.pattern = re.compile(answer) if answer else None

    def chosen(self, samples: Sequence[Sample], tokenizer: Tokenizer | None) -> list[tuple[Sample, float]]:
        by_answer: defaultdict[object, list[Sample]] = defaultdict(list)
        for sample in samples:
            by_answer[self._answer(sample, tokenizer)].append(sample)
        by_answer.pop(None, None)
        groups = sorted(by_answer.values(), key=lambda group: (-len(group), -max(map(_mean, group))))
        found = [(max(group, key=_mean), len(group) / len(samples)) for group in groups]
        shown = {id(sample) for sample, _ in found}
        return [*found, *((sample, 0.0) for sample in samples if id(sample) not in shown)]

    def _answer(self, sample: Sample, tokenizer: Tokenizer | None) -> object:
        if self.pattern is None:
            return sample.tokens
        if tokenizer is None:
            raise InvalidInput(
                f"answer {self.pattern.pattern!r} is looked for in text, but no tokenizer is known",
                remedy="pass tokenizer=",
            )
        found = list(self.pattern.finditer(tokenizer.decode(sample.tokens)))
        return found[-1].group(1 if self.pattern.groups else 0) if found else None


class Mbr(Ensemble):
    """Minimum Bayes risk (Eikema and Aziz 2020, arXiv 2005.10283): the sample that agrees best with all samples, by a
    utility that is named or a callable of two token sequences."""

    def __init__(self, *, num_samples: int, utility: str | Utility = "token_f1") -> None:
        super().__init__(num_samples=num_samples)
        self.utility = UTILITIES[utility] if isinstance(utility, str) else utility

    def chosen(self, samples: Sequence[Sample], tokenizer: Tokenizer | None) -> list[tuple[Sample, float]]:
        references = Counter(sample.tokens for sample in samples)
        expected = {
            tokens: sum(times * self.utility(tokens, other) for other, times in references.items())
            / len(samples)
            for tokens in references
        }
        return sorted(((s, expected[s.tokens]) for s in samples), key=lambda pair: -pair[1])


def sampled(run: Run) -> list[list[float]]:
    """Draw every row to its end -> of each row the model's log-probabilities of its tokens."""
    found: list[list[float]] = [[] for _ in run.reasons]
    while not run.done:
        growing = [row for row, reason in enumerate(run.reasons) if reason is None]
        tokens = run.rng.categorical(run.scores())
        logits = run.logits().float()
        chosen = logits.gather(1, tokens.unsqueeze(1)).squeeze(1) - logits.logsumexp(-1)  # (R,)
        values = chosen.tolist()
        for row in growing:
            found[row].append(values[row])
        run.append(tokens)
    return found


def _mean(sample: Sample) -> float:
    return sum(sample.logprobs) / max(len(sample.logprobs), 1)
