"""What a detector of watermarks answers: a spec's `detector` finds in a text what its step or strategy wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of one text.

    scored     the tokens that say something; 0 where the text is too short
    score      what is compared, a mean over them: the fraction of green tokens, or the mean g-value
    expected   what it is without a watermark
    z          how many standard deviations it lies above that
    p          how likely a text without a watermark scores as high
    told       score and expectation in words, "33 of 64 tokens are green: 51.6%, 25.0% expected"
    """

    scored: int
    score: float
    expected: float
    z: float
    p: float
    told: str = ""

    def is_marked(self, threshold: float = 1e-3) -> bool:
        """Of unmarked texts, no more than the fraction `threshold` is called marked."""
        return self.p < threshold


class Detector(Protocol):
    """What a spec's `detector` names."""

    def __call__(
        self,
        rows: Sequence[Sequence[int]],
        *,
        vocab_size: int | None,
        prompts: Sequence[Sequence[int]] | None,
        device: Any,
        **params: Any,
    ) -> Sequence[Evidence]:
        """The evidence of each text, whatever texts are beside it.

        rows        token ids, a list a text, of any lengths; a text of no tokens has `scored` 0 and p 1
        vocab_size  the width of the scores; None where the model does not say
        prompts     the ids in front of each text, which are not scored; None where they are not known
        device      where the texts were made
        params      all parameters of the step or strategy
        """
        ...


def nothing(expected: float) -> Evidence:
    """Of a text that is too short."""
    return Evidence(0, expected, expected, 0.0, 1.0)
