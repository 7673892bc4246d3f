"""The stop rules of one run: asked after each token, or beforehand about candidates."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...contracts.errors import InvalidInput
from ...contracts.lowering import AtLength, AtTokens, Ending
from .apply import BoundStep, View


class StopRules:
    """The bound rules in order, and the model's longest sequence, which ends rows too (None: not known).

    Rules that say what they are (`Ending`) are looked at on the host, without a call: `plain` means that all do.
    """

    def __init__(self, rules: Sequence[BoundStep], context: int | None) -> None:
        self.rules, self.context = tuple(rules), context
        self.ids_only = all(rule.ids_only for rule in rules)
        self.plain = all(rule.endings is not None for rule in rules)
        self.endings: list[tuple[str, Ending]] = [
            (rule.reason, ending) for rule in rules for ending in rule.endings or ()
        ]

    @property
    def know_eos(self) -> bool:
        """Some rule is eos, or an object with the attribute that transformers asks for."""
        return any(
            rule.reason == "eos" or any(hasattr(each, "eos_token_id") for each in rule.instances)
            for rule in self.rules
        )

    def check_prompts(self, lengths: Sequence[int]) -> None:
        """Refuse prompts of these lengths that a rule leaves no room behind: rules are asked after a token, which would
        be one too many. Raises `InvalidInput`."""
        for rule in self.rules:
            for most in [
                e.most for e in rule.endings or () if isinstance(e, AtLength) and not e.beyond_prompt
            ]:
                for row, length in enumerate(lengths):
                    if length >= most:
                        raise InvalidInput(
                            f"row {row}: its prompt has {length} tokens, and {rule.name!r} ends a row at {most}",
                            remedy="shorten the prompt or raise it; max_new_tokens does not count the prompt",
                        )

    def of_tokens(
        self, newest: Sequence[int], lengths: Sequence[int], prompt_lengths: Sequence[int]
    ) -> list[str | None]:
        """Why each row that ends in `newest[r]` and has `lengths[r]` tokens ends; None where it goes on. In a row, the
        first rule of the recipe that says stop gives the reason. Only for `plain` rules."""
        return [self.of_token(*row) for row in zip(newest, lengths, prompt_lengths, strict=True)]

    def of_token(self, token: int, length: int, prompt_length: int) -> str | None:
        """The same of one row."""
        for reason, ending in self.endings:
            if isinstance(ending, AtTokens):
                if token in ending.ids:
                    return reason
            elif length - (prompt_length if ending.beyond_prompt else 0) >= ending.most:
                return reason
        return None if self.context is None or length < self.context else "context"

    def ask(self, view: View, scores: Tensor) -> list[str | None]:
        """The same of any rules, for the rows of `view`. scores (R, V), or (R, 0) where all are `ids_only`."""
        reasons: list[str | None] = [None] * len(view.host_lengths)
        if self.rules:
            answers = torch.stack([rule(view, scores) for rule in self.rules])  # S x (R,) -> (S, R)
            self._note(answers, reasons)
        return self._with_context(view.host_lengths, reasons)

    def ask_of(
        self, view: View, rows: Sequence[int], tokens: Tensor, scores: Tensor | None
    ) -> list[str | None]:
        """The same for candidates: row i of `view` is the run's row `rows[i]` with `tokens[i]` behind it.

        tokens (C,) int64; scores (R, V) of the run's rows, looked at by rules that are not `ids_only`.
        """
        reasons: list[str | None] = [None] * len(rows)
        if self.rules:
            shown = tokens.new_empty((len(rows), 0), dtype=torch.float32)
            if scores is not None and not self.ids_only:
                shown = scores[torch.tensor(rows, device=scores.device)]  # (R, V) -> (C, V)
            answers = [rule.of_candidates(rows, tokens)(view, shown) for rule in self.rules]
            self._note(torch.stack(answers), reasons)
        return self._with_context(view.host_lengths, reasons)

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        """(R,) int64, (R,) bool."""
        if not self.plain:
            for rule in self.rules:
                rule.observe(tokens, active)

    def select(self, rows: Tensor, host_rows: Sequence[int]) -> None:
        """(R',) int64, and the same on the host."""
        for rule in self.rules:
            rule.select(rows, host_rows)

    def rewind(self, counts: Tensor) -> None:
        """(R,) int64."""
        for rule in self.rules:
            rule.rewind(counts)

    def _note(self, answers: Tensor, reasons: list[str | None]) -> None:
        if not bool(answers.any()):
            return
        for rule, answer in zip(self.rules, answers.tolist(), strict=True):
            for row, stops in enumerate(answer):
                if stops and reasons[row] is None:
                    reasons[row] = rule.reason

    def _with_context(self, lengths: Sequence[int], reasons: list[str | None]) -> list[str | None]:
        if self.context is None:
            return reasons
        return [
            "context" if reason is None and length >= self.context else reason
            for reason, length in zip(reasons, lengths, strict=True)
        ]
