"""Two steps of logits-processor-zoo (Apache-2.0, NVIDIA) that look into the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor

from decodery.contracts.protocols import Tokenizer

from ..rows.lengths import lengths_of
from ..text.tokens import TokenOrText, single, token_ids, vocabulary


def cited(
    input_ids: Tensor, lengths: Tensor, prompt_lengths: Tensor, vocab_size: int
) -> tuple[Tensor, Tensor]:
    """Which tokens stand in the prompt, and which follow the newest generated token there.

    (R, T) int64, (R,) int64, (R,) int64 -> 2 x (R, V) bool.
    """
    slot = torch.arange(input_ids.shape[1], device=input_ids.device)
    in_prompt = slot < prompt_lengths[:, None]  # (T,), (R, 1) -> (R, T)
    newest = input_ids.gather(1, (lengths[:, None] - 1).clamp(min=0))  # (R, T) -> (R, 1)
    generates = (lengths > prompt_lengths)[:, None]
    follows = torch.zeros_like(in_prompt)
    follows[:, 1:] = in_prompt[:, 1:] & (input_ids[:, :-1] == newest) & generates
    return _marked(input_ids, in_prompt, vocab_size), _marked(input_ids, follows, vocab_size)


def _marked(input_ids: Tensor, slots: Tensor, vocab_size: int) -> Tensor:
    known = slots & (input_ids >= 0) & (input_ids < vocab_size)
    column = torch.where(known, input_ids, vocab_size)  # a spare one for what does not count
    none = torch.zeros((len(input_ids), vocab_size + 1), dtype=torch.bool, device=input_ids.device)
    return none.scatter(1, column, True)[:, :vocab_size]


class CitePrompt:
    """Adds `boost` to the tokens of the prompt and to the end of the text, and `conditional` to those that follow the
    newest token in the prompt. CiteFromPromptLogitsProcessor."""

    def __init__(
        self,
        *,
        prompt_lengths: Tensor,
        eos: Sequence[int],
        boost: float = 1.0,
        boost_eos: bool = True,
        conditional: float = 0.0,
    ) -> None:
        self.boost, self.conditional, self.prompt_lengths = boost, conditional, prompt_lengths
        self.eos = torch.tensor(list(eos) if boost_eos else [], dtype=torch.int64)

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) float, (R,) int64, (R,) int64 -> (R, V)."""
        if self.boost == 0 and self.conditional == 0:
            return scores
        lengths = lengths_of(input_ids, lengths)
        prompt_lengths = self.prompt_lengths if prompt_lengths is None else prompt_lengths
        stands, follows = cited(input_ids, lengths, prompt_lengths, scores.shape[-1])
        eos = self.eos[self.eos < scores.shape[-1]].to(scores.device)
        stands = stands.index_fill(1, eos, True)
        return (scores + self.boost * stands + self.conditional * follows).to(scores.dtype)


def choice_words(
    prompt: Sequence[str], ids: Sequence[int], labels: Sequence[str], delimiter: str
) -> list[int | None]:
    """The first token of each choice in a prompt like "\\nA. hair dryer\\nB. kettle", None for one that is not there.

    `prompt` are the texts of the tokens `ids`. Choices are looked for in their order.
    """
    found: list[int | None] = []
    at = 0
    for label in labels:
        match = None
        for place in range(at, len(ids) - 3):
            line = prompt[place].endswith("\n")
            if line and prompt[place + 1].strip() == label and prompt[place + 2].strip() == delimiter:
                match, at = ids[place + 3], place + 3
                break
        found.append(match)
    return found


class MultipleChoice:
    """Only the choices may come. `boost_first_words` adds that much of the score of the word behind each choice in the
    prompt. MultipleChoiceLogitsProcessor."""

    def __init__(
        self,
        *,
        tokenizer: Tokenizer,
        prompt_lengths: Tensor,
        choices: Sequence[str] = ("1", "2", "3", "4"),
        delimiter: str = ".",
        boost_first_words: float = 0.0,
    ) -> None:
        self.words, self.prompt_lengths = vocabulary(tokenizer), prompt_lengths
        self.labels, self.delimiter, self.boost = tuple(choices), delimiter, boost_first_words
        self.ids = [_label(tokenizer, choice) for choice in choices]

    def __call__(
        self,
        input_ids: Tensor,
        scores: Tensor,
        *,
        lengths: Tensor | None = None,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """(R, T) int64, (R, V) float, (R,) int64, (R,) int64 -> (R, V)."""
        prompt_lengths = self.prompt_lengths if prompt_lengths is None else prompt_lengths
        boosted = scores if self.boost == 0 else self._boosted(input_ids, scores, prompt_lengths)
        columns = torch.tensor(sorted(set().union(*self.ids)), device=scores.device)
        columns = columns[columns < scores.shape[-1]]
        return torch.full_like(scores, -inf).index_copy(1, columns, boosted[:, columns])

    def _boosted(self, input_ids: Tensor, scores: Tensor, prompt_lengths: Tensor) -> Tensor:
        boosted = scores.clone()
        rows = zip(input_ids.tolist(), prompt_lengths.tolist(), strict=True)
        for row, (ids, length) in enumerate(rows):
            prompt = ids[:length]
            texts = [self.words.text([token]) for token in prompt]
            words = choice_words(texts, prompt, self.labels, self.delimiter)
            for label, word in zip(self.ids, words, strict=True):
                known = [token for token in label if token < scores.shape[-1]]
                if word is not None and word < scores.shape[-1]:
                    more = self.boost * scores[row, word]
                    boosted[row, known] += torch.where(more.isfinite(), more, 0.0)
        return boosted


def _label(tokenizer: Tokenizer, choice: TokenOrText) -> list[int]:
    """The token that the tokenizer itself makes of a choice where it is one, else every token that reads so."""
    own = single(tokenizer, str(choice))
    return sorted(own or token_ids([choice], tokenizer, "multiple_choice: choices"))
