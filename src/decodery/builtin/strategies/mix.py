"""Scores mixed from several runs that decode the same new tokens: other models, or the same one after other texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from torch import Tensor

from ...contracts.errors import InvalidInput
from ...contracts.protocols import Run
from . import mixtures


class Mix:
    """One token at a time from one of four formulas; then the recipe's processors, then the best token or a draw.

    | formula | the other runs | the model of a role, else the model itself |
    |---|---|---|
    | cfg | `negative` | after `negative_prompt`, the caller's role_prompts, or the prompt's last token alone |
    | contrastive | `amateur` | after the same text |
    | context_aware | `without` | after the caller's role_prompts: the prompt without its context |
    | experts | `expert`, `anti_expert` | after the same text; both models must be given |
    """

    def __init__(
        self,
        *,
        formula: Literal["cfg", "contrastive", "context_aware", "experts"],
        guidance_scale: float,
        alpha: float | None,
        beta: float,
        negative_prompt: str,
        do_sample: bool,
    ) -> None:
        self.formula, self.guidance_scale, self.beta, self.do_sample = (
            formula,
            guidance_scale,
            beta,
            do_sample,
        )
        self.alpha = (
            alpha if alpha is not None else {"contrastive": 0.1, "context_aware": 0.5}.get(formula, 1.0)
        )
        self.negative_prompt = negative_prompt

    def decode(self, run: Run) -> Iterator[None]:
        """Raises `InvalidInput` where a formula lacks a model or a text of its own."""
        others = self._open(run)
        while not run.done:
            mixed = self._mixed(run.logits().float(), [other.logits().float() for other in others])
            scores = run.scores(mixed)
            tokens = run.rng.categorical(scores) if self.do_sample else scores.argmax(-1)
            run.append(tokens)
            for other in others:
                run.finish(
                    other.room <= 1, "context"
                )  # a text that only one of the models can go on with is over
            for other in others:
                other.finish(run.finished, "done")
                if not other.done:
                    other.append(tokens, stop=False)
            yield

    def _mixed(self, own: Tensor, others: list[Tensor]) -> Tensor:
        """(R, V), O x (R, V) -> (R, V)."""
        match self.formula:
            case "cfg":
                return mixtures.cfg(own, others[0], self.guidance_scale)
            case "contrastive":
                return mixtures.contrastive(own, others[0], self.alpha, self.beta)
            case "context_aware":
                return mixtures.context_aware(own, others[0], self.alpha)
            case _:
                return mixtures.experts(own, others[0], others[1], self.alpha)

    def _open(self, run: Run) -> list[Run]:
        match self.formula:
            case "cfg":
                return [self._open_negative(run)]
            case "contrastive":
                return [run.open("amateur")]
            case "context_aware":
                if "without" not in run.role_prompts and "without" not in run.roles:
                    raise InvalidInput(
                        "formula context_aware needs the prompt without its context",
                        remedy="generate(..., role_prompts={'without': texts})",
                    )
                return [_role_or_model(run, "without")]
            case _:
                return [run.open("expert"), run.open("anti_expert")]

    def _open_negative(self, run: Run) -> Run:
        if self.negative_prompt:
            if run.tokenizer is None:
                raise InvalidInput(
                    f"negative_prompt {self.negative_prompt!r} is text, but no tokenizer is known",
                    remedy="pass tokenizer=, or role_prompts={'negative': ids}",
                )
            ids = run.tokenizer.encode(self.negative_prompt)
            return _role_or_model(run, "negative", [ids] * len(run.reasons))
        if "negative" in run.role_prompts:
            return _role_or_model(run, "negative")
        last = run.input_ids.gather(1, run.lengths.unsqueeze(1) - 1)  # (R, T) -> (R, 1)
        return _role_or_model(run, "negative", last.tolist())


def _role_or_model(run: Run, role: str, prompts: Sequence[Sequence[int]] | None = None) -> Run:
    """A run of the role's model, else of the model itself, after these texts or the caller's for the role.

    Raises `InvalidInput` where the model itself cannot have two texts open.
    """
    if role not in run.roles and not run.model.capabilities.shared:
        raise InvalidInput(
            f"mix decodes two texts at once, and this model has one cache: the role {role!r} needs a copy of it",
            remedy=f"Decoder(model, recipe, models={{{role!r}: copy.deepcopy(model)}}), or --role {role}=MODEL",
        )
    prompts = prompts if prompts is not None else run.role_prompts.get(role)
    return run.open(role if role in run.roles else "model", prompts)
