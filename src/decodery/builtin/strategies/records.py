"""The strategies in the box, as records."""

from __future__ import annotations

from typing import Any

from ...contracts.specs import StrategySpec
from . import params

HERE = "decodery.builtin.strategies"


def strategies() -> list[StrategySpec]:
    """Those that choose a token at a time, then those that own their loop."""
    return [
        StrategySpec(
            name="greedy",
            factory=f"{HERE}.greedy:Greedy",
            draw="argmax",
            summary="takes the best token at each step",
        ),
        StrategySpec(
            name="sample",
            factory=f"{HERE}.sample:Sample",
            draw="categorical",
            summary="draws each token from the probabilities that the processors leave",
        ),
        StrategySpec(
            name="beam",
            factory=f"{HERE}.beam:Beam",
            params=params.BeamParams,
            summary="follows the most likely texts side by side and gives the best of them",
            reference="transformers' beam search; patience: https://arxiv.org/abs/2204.05424",
            needs=frozenset({"eos"}),
            min_keep=beside_every_eos,
            ranks=True,
        ),
        StrategySpec(
            name="beam_sample",
            factory=f"{HERE}.beam:BeamSample",
            params=params.BeamParams,
            summary="beam search whose continuations are drawn without replacement",
            reference="transformers' beam sampling",
            needs=frozenset({"eos"}),
            min_keep=beside_every_eos,
            ranks=True,
        ),
        StrategySpec(
            name="assisted",
            factory=f"{HERE}.assisted:Assisted",
            params=params.AssistedParams,
            summary="a draft model proposes tokens, the model checks them in one forward: its own text, sooner",
            reference="https://arxiv.org/abs/2211.17192",
            roles=("draft",),
            aliases=("assisted_generation", "speculative"),
        ),
        StrategySpec(
            name="prompt_lookup",
            factory=f"{HERE}.prompt_lookup:PromptLookup",
            params=params.PromptLookupParams,
            summary="continues as an earlier place of the text did, checked by the model in one forward",
            reference="https://github.com/apoorvumang/prompt-lookup-decoding",
        ),
    ]


def beside_every_eos(facts: Any) -> int:
    """Filters leave one token more than there are ways to end, so that a beam can always go on."""
    return len(facts.eos) + 1
