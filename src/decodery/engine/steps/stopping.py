"""The stop rules of one run: asked after each token, or beforehand about candidates."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .apply import BoundStep, View


class StopRules:
    """The bound rules in order, and the model's longest sequence, which ends rows too (None: not known)."""

    def __init__(self, rules: Sequence[BoundStep], context: int | None) -> None:
        self.rules, self._context = tuple(rules), context
        # Rules of the box that one object answers for all rows.
        self.newest_only = all(
            rule.trusted and len(rule.instances) == 1 and hasattr(rule.instances[0], "of_newest")
            for rule in rules
        )

    @property
    def ids_only(self) -> bool:
        """No rule looks at scores."""
        return all(rule.ids_only for rule in self.rules)

    @property
    def know_eos(self) -> bool:
        """Some rule is eos, or an object with the attribute that transformers asks for."""
        return any(
            rule.reason == "eos" or any(hasattr(each, "eos_token_id") for each in rule.instances)
            for rule in self.rules
        )

    def ask(self, view: View, scores: Tensor) -> list[str | None]:
        """Why each row of `view`, which ends in its newest token, ends; None where it goes on. In a row, the first
        rule of the recipe that says stop gives the reason. scores (R, V)."""
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

    def ask_of_newest(
        self, tokens: Tensor, lengths: Tensor, prompt_lengths: Tensor, host_lengths: Sequence[int]
    ) -> list[str | None]:
        """`ask_of` where the rules look at nothing else (`newest_only`). tokens, lengths, prompt_lengths (C,) int64,
        the candidates in the lengths, which are on the host too."""
        reasons: list[str | None] = [None] * len(host_lengths)
        if self.rules:
            answers = [rule.instances[0].of_newest(tokens, lengths, prompt_lengths) for rule in self.rules]
            self._note(torch.stack(answers), reasons)  # S x (C,) -> (S, C)
        return self._with_context(host_lengths, reasons)

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        """(R,) int64, (R,) bool."""
        for rule in self.rules:
            rule.observe(tokens, active)

    def _note(self, answers: Tensor, reasons: list[str | None]) -> None:
        if not bool(answers.any()):
            return
        for rule, answer in zip(self.rules, answers.tolist(), strict=True):
            for row, stops in enumerate(answer):
                if stops and reasons[row] is None:
                    reasons[row] = rule.reason

    def _with_context(self, lengths: Sequence[int], reasons: list[str | None]) -> list[str | None]:
        if self._context is None:
            return reasons
        return [
            "context" if reason is None and length >= self._context else reason
            for reason, length in zip(reasons, lengths, strict=True)
        ]
