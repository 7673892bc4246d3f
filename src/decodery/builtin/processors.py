"""The processors in the box, as records."""

from __future__ import annotations

from ..contracts.specs import StepSpec
from . import params

HERE = "decodery.builtin.reference"
LOWERED = "decodery.builtin.lowerings"

SCORES_ALONE = frozenset({"stateless", "compilable"})
KEEPS_BEST = SCORES_ALONE | {"argmax_invariant"}
HISTORY = SCORES_ALONE | {"ragged", "reads_history"}


def samplers() -> list[StepSpec]:
    """Steps that look at the scores alone."""
    return [
        StepSpec(
            name="temperature",
            role="processor",
            factory=f"{HERE}.temperature:Temperature",
            params=params.TemperatureParams,
            summary="divides the scores: below 1 is bolder about the best tokens, above 1 more even",
            formula="x / temperature",
            when="how daring a text is: 0.7 to 1 for stories, less for facts; for the best token always, "
            "the strategy `greedy`",
            reference="Ackley, Hinton and Sejnowski, A Learning Algorithm for Boltzmann Machines (1985)",
            traits=KEEPS_BEST,
            lowering=f"{LOWERED}.scores:temperature",
            aliases=("TemperatureLogitsWarper",),
            keywords=("temp",),
        ),
        StepSpec(
            name="top_k",
            role="processor",
            factory=f"{HERE}.truncation:TopK",
            params=params.TopKParams,
            summary="keeps the k best tokens",
            formula="keep the k greatest x and all that tie with the last of them; with ties: cut exactly k",
            when="a bound on the tail, 20 to 100; a fixed number suits neither sure nor open rows, so a "
            "top_p or min_p follows",
            reference="https://arxiv.org/abs/1805.04833",
            traits=KEEPS_BEST,
            lowering=f"{LOWERED}.scores:top_k",
            aliases=("TopKLogitsWarper",),
        ),
        StepSpec(
            name="top_p",
            role="processor",
            factory=f"{HERE}.truncation:TopP",
            params=params.TopPParams,
            summary="keeps the smallest set of best tokens that holds the probability p",
            formula="ban the least likely tokens whose P sum to at most 1 - p",
            when="the usual cut, 0.9 to 0.95; above temperature 1 it lets much of the tail in, and min_p "
            "does not",
            reference="https://arxiv.org/abs/1904.09751",
            # Not argmax_invariant: of several best tokens with equal scores it may keep the last one only.
            traits=SCORES_ALONE,
            lowering=f"{LOWERED}.scores:top_p",
            aliases=("TopPLogitsWarper",),
            keywords=("nucleus", "nucleus_sampling"),
        ),
        StepSpec(
            name="min_p",
            role="processor",
            factory=f"{HERE}.truncation:MinP",
            params=params.MinPParams,
            summary="keeps the tokens at least p times as likely as the best one",
            formula="keep P >= p * P_1",
            when="stories at a high temperature, 0.02 to 0.1: the bound rises where the model is sure",
            reference="https://arxiv.org/abs/2407.01082",
            traits=KEEPS_BEST,
            lowering=f"{LOWERED}.scores:min_p",
            aliases=("MinPLogitsWarper",),
        ),
        StepSpec(
            name="typical_p",
            role="processor",
            factory=f"{HERE}.typical:TypicalP",
            params=params.TypicalPParams,
            summary="keeps the tokens of most typical surprise until they hold the probability p",
            formula="keep the tokens of least |H + ln P| until their P sum to p",
            when="even, unsurprising prose, 0.9 or so; it may ban the best token of a sure row, so not for"
            " facts or code",
            reference="https://arxiv.org/abs/2202.00666",
            traits=SCORES_ALONE,
            lowering=f"{LOWERED}.scores:typical_p",
            aliases=("TypicalLogitsWarper",),
            keywords=("locally_typical", "typical_sampling"),
        ),
        StepSpec(
            name="top_h",
            role="processor",
            factory=f"{HERE}.typical:TopH",
            params=params.TopHParams,
            summary="keeps the best of the 100 best tokens, up to the share h of their entropy",
            formula="of the 100 best keep the best while the sum of -P ln P is at most h * H; P and H are of "
            "the 100",
            when="high temperatures, where a cut should tighten as the model gets sure; 0.4 in the paper",
            reference="https://arxiv.org/abs/2509.02510",
            # Not argmax_invariant: among several best tokens with equal scores topk has no order.
            traits=SCORES_ALONE,
            aliases=("TopHLogitsWarper",),
        ),
        StepSpec(
            name="epsilon_cutoff",
            role="processor",
            factory=f"{HERE}.typical:EpsilonCutoff",
            params=params.EpsilonCutoffParams,
            summary="keeps the tokens at least as likely as epsilon",
            formula="keep P >= epsilon",
            when="against the far tail alone, 3e-4 to 2e-3, with open rows left wide",
            reference="https://arxiv.org/abs/2210.15191",
            traits=KEEPS_BEST,
            lowering=f"{LOWERED}.scores:epsilon_cutoff",
            aliases=("EpsilonLogitsWarper",),
        ),
        StepSpec(
            name="eta_cutoff",
            role="processor",
            factory=f"{HERE}.typical:EtaCutoff",
            params=params.EtaCutoffParams,
            summary="like epsilon_cutoff, with a bound that gives way where many tokens are plausible",
            formula="keep P >= min(epsilon, sqrt(epsilon) * exp(-H))",
            when="as epsilon_cutoff, where some rows are so flat that a fixed bound would leave them little",
            reference="https://arxiv.org/abs/2210.15191",
            traits=KEEPS_BEST,
            lowering=f"{LOWERED}.scores:eta_cutoff",
            aliases=("EtaLogitsWarper",),
        ),
    ]


def history_readers() -> list[StepSpec]:
    """Steps that look at the ids too."""
    return [
        StepSpec(
            name="repetition_penalty",
            role="processor",
            factory=f"{HERE}.repetition:RepetitionPenalty",
            params=params.RepetitionPenaltyParams,
            summary="makes tokens that occurred less likely; window counts the newest tokens of the text, "
            "slope below 1 spares its older half",
            formula="of tokens that occurred: x / penalty where x > 0, x * penalty where x < 0",
            when="a small model that loops, 1.05 to 1.2; a window spares names in long texts",
            reference="https://arxiv.org/abs/1909.05858",
            needs=frozenset({"padding"}),
            traits=HISTORY,
            lowering=f"{LOWERED}.history:repetition_penalty",
            aliases=("RepetitionPenaltyLogitsProcessor",),
            keywords=("repeat_penalty", "rep_pen"),
        ),
        StepSpec(
            name="no_repeat_ngram",
            role="processor",
            factory=f"{HERE}.ngram:NoRepeatNgram",
            params=params.NoRepeatNgramParams,
            summary="bans tokens that would complete an n-gram a second time",
            formula="-inf for t where the newest n - 1 tokens and t occurred in the row, n = ngram_size",
            when="beams, which repeat phrases; in long texts it bans names as well",
            reference="https://arxiv.org/abs/1705.04304",
            traits=HISTORY,
            lowering=f"{LOWERED}.history:no_repeat_ngram",
            aliases=("no_repeat_ngram_size", "NoRepeatNGramLogitsProcessor"),
        ),
        StepSpec(
            name="min_new_tokens",
            role="processor",
            factory=f"{HERE}.length:MinNewTokens",
            params=params.MinNewTokensParams,
            summary="bans the end of the text before so many new tokens",
            formula="-inf for the ends while T - prompt < min_new_tokens",
            when="answers that come out empty or too short",
            reference="transformers.MinNewTokensLengthLogitsProcessor",
            needs=frozenset({"eos", "prompt_lengths"}),
            traits=HISTORY,
            lowering=f"{LOWERED}.history:min_new_tokens",
            aliases=("MinNewTokensLengthLogitsProcessor",),
        ),
        StepSpec(
            name="bad_words",
            role="processor",
            factory=f"{HERE}.bias:BadWords",
            params=params.BadWordsParams,
            summary="bans tokens that would complete one of these sequences",
            formula="-inf for t where t completes one of the sequences",
            when="sequences of ids that must not come; for words as texts, `banned_tokens` of decodery-"
            "samplers",
            reference="transformers.NoBadWordsLogitsProcessor",
            needs=frozenset({"eos"}),
            traits=HISTORY,
            lowering=f"{LOWERED}.history:bad_words",
            aliases=("bad_words_ids", "NoBadWordsLogitsProcessor"),
        ),
        StepSpec(
            name="sequence_bias",
            role="processor",
            factory=f"{HERE}.bias:SequenceBias",
            params=params.SequenceBiasParams,
            summary="adds a bias to tokens that would complete a sequence; pairs are [[ids], bias]",
            formula="x + the biases of all sequences that the token would complete",
            when="to favour or discourage words of several tokens without forcing them",
            reference="transformers.SequenceBiasLogitsProcessor",
            traits=HISTORY,
            lowering=f"{LOWERED}.history:sequence_bias",
            aliases=("SequenceBiasLogitsProcessor",),
            keywords=("logit_bias",),
        ),
    ]
