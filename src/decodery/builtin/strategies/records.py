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
            aliases=("greedy_search",),
            keywords=("greedy_decoding", "argmax", "deterministic"),
        ),
        StrategySpec(
            name="sample",
            factory=f"{HERE}.sample:Sample",
            draw="categorical",
            summary="draws each token from the probabilities that the processors leave",
            keywords=("sampling", "multinomial", "multinomial_sampling", "ancestral_sampling", "do_sample"),
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
            aliases=("beam_search",),
            keywords=("beams", "num_beams"),
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
            name="diverse_beam",
            factory=f"{HERE}.diverse_beam:DiverseBeam",
            params=params.DiverseBeamParams,
            summary="groups of beams that keep clear of each other's tokens",
            reference="https://arxiv.org/abs/1610.02424",
            needs=frozenset({"eos"}),
            wants=frozenset({"pad"}),
            min_keep=beside_every_eos,
            ranks=True,
            aliases=("group_beam_search",),
            keywords=("diverse_beam_search", "num_beam_groups"),
        ),
        StrategySpec(
            name="constrained_beam",
            factory=f"{HERE}.constrained_beam:ConstrainedBeam",
            params=params.ConstrainedBeamParams,
            summary="beam search for texts that contain given words, or one of several alternatives",
            reference="https://arxiv.org/abs/1612.00576",
            needs=frozenset({"eos"}),
            wants=frozenset({"pad"}),
            min_keep=beside_every_eos,
            ranks=True,
            aliases=("constrained_beam_search",),
            keywords=("force_words_ids", "constraints"),
        ),
        StrategySpec(
            name="assisted",
            factory=f"{HERE}.assisted:Assisted",
            params=params.AssistedParams,
            summary="a draft model proposes tokens, the model checks them in one forward: its own text, sooner",
            reference="https://arxiv.org/abs/2211.17192",
            roles=("draft",),
            aliases=("assisted_generation", "speculative"),
            keywords=(
                "speculative_decoding",
                "speculative_sampling",
                "assistant_model",
                "draft",
                "draft_model",
            ),
        ),
        StrategySpec(
            name="prompt_lookup",
            factory=f"{HERE}.prompt_lookup:PromptLookup",
            params=params.PromptLookupParams,
            summary="continues as an earlier place of the text did, checked by the model in one forward",
            reference="https://github.com/apoorvumang/prompt-lookup-decoding",
            keywords=("prompt_lookup_num_tokens", "ngram_speculation"),
        ),
        StrategySpec(
            name="contrastive",
            factory=f"{HERE}.contrastive:Contrastive",
            params=params.ContrastiveParams,
            summary="takes the likely token whose hidden state repeats the earlier ones least",
            reference="https://arxiv.org/abs/2202.06417",
            min_keep=2,
            aliases=("contrastive_search",),
            keywords=("penalty_alpha",),
        ),
        StrategySpec(
            name="dola",
            factory=f"{HERE}.dola:DoLa",
            params=params.DolaParams,
            summary="sets the last layer's probabilities against an earlier layer's",
            reference="https://arxiv.org/abs/2309.03883",
            aliases=("dola_generation",),
            keywords=("dola_layers", "decoding_by_contrasting_layers"),
        ),
        StrategySpec(
            name="mix",
            factory=f"{HERE}.mix:Mix",
            params=params.MixParams,
            summary="mixes the scores of several models or prompts: guidance, contrastive, context-aware, experts",
            reference="https://arxiv.org/abs/2306.17806",
            keywords=(
                "cfg",
                "classifier_free_guidance",
                "guidance",
                "guidance_scale",
                "negative_prompt",
                "contrastive_decoding",
                "context_aware",
                "context_aware_decoding",
                "cad",
                "experts",
                "dexperts",
            ),
        ),
        StrategySpec(
            name="best_of",
            factory=f"{HERE}.ensembles:BestOf",
            params=params.BestOfParams,
            summary="draws several texts and gives the likeliest",
            ranks=True,
            keywords=("best_of_n", "rerank"),
        ),
        StrategySpec(
            name="majority",
            factory=f"{HERE}.ensembles:Majority",
            params=params.MajorityParams,
            summary="draws several texts and gives the answer that most of them have",
            reference="https://arxiv.org/abs/2203.11171",
            ranks=True,
            keywords=("self_consistency", "majority_vote", "voting"),
        ),
        StrategySpec(
            name="mbr",
            factory=f"{HERE}.ensembles:Mbr",
            params=params.MbrParams,
            summary="draws several texts and gives the one that agrees best with all",
            reference="https://arxiv.org/abs/2005.10283",
            ranks=True,
            keywords=("minimum_bayes_risk",),
        ),
    ]


def beside_every_eos(facts: Any) -> int:
    """Filters leave one token more than there are ways to end, so that a beam can always go on; two at least."""
    return max(2, len(facts.eos) + 1)
