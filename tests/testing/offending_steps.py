"""For each check a step or strategy that breaks exactly that promise."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import offending_objects as bad
import offending_runs as runs
import torch
from honest_steps import PROMPTS, Draws, Idle, processor, rule
from offending_objects import chooses, made
from torch import Tensor

from decodery.contracts.lowering import Map
from decodery.contracts.specs import Spec, StepSpec, StrategySpec


class Offender(NamedTuple):
    """What is wrong, in whom, which checks say so, and what `checks_for` is told besides."""

    what: str
    spec: Spec
    caught_by: set[str]
    told: Mapping[str, Any] = MappingProxyType({})


def stateless(function: Callable[[Tensor, Tensor], Any], *traits: str, **more: Any) -> StepSpec:
    return processor(made(function), "stateless", *traits, **more)


DECODING = {"decodes_to_the_end", "decoding_repeats"}
OWN_LOOP = {"own_loop_decodes_to_the_end", "own_loop_repeats", "own_loop_does_not_depend_on_the_batch"}
SUPPORT = {"chooses_within_the_support"}
OFFENDERS = [
    Offender("raises when it is built", processor(bad.refuses), {"builds"}),
    Offender("is nothing that can be called", processor(object), {"builds"}),
    Offender("a strategy that does nothing", StrategySpec("tried", object), {"builds"}),
    Offender(
        "parameters that do not fit",
        processor(bad.Scaled, params=bad.Amount),
        {"builds"},
        {"samples": {"amount": -1}},
    ),
    Offender(
        "lowers to code that is not there",
        stateless(lambda i, s: s, lowering="no.such:thing"),
        {"points_at_code", "builds"},
    ),
    Offender(
        "doubles its parameter",
        processor(bad.Scaled, params=bad.Doubling),
        {"params_round_trip", "yaml_round_trip", "repr_round_trip"},
    ),
    Offender("a parameter without repr", processor(bad.idle, params=bad.Levelled), {"repr_round_trip"}),
    Offender("a parameter of any type", processor(bad.idle, params=bad.Anything), {"has_a_json_schema"}),
    Offender("a set, which JSON has not", processor(bad.idle, params=bad.Unwritten), {"params_round_trip"}),
    Offender("another dtype", stateless(lambda i, s: s.to(torch.float16)), {"keeps_shape_dtype_and_device"}),
    Offender(
        "NaN", stateless(bad.nan_where_allowed), {"gives_no_nan", "bears_rows_of_half_precision_models"}
    ),
    Offender("+inf", stateless(bad.infinite_where_allowed), {"gives_no_nan"}),
    Offender("bans certainties", stateless(bad.bans_certainties), {"never_masks_everything"}),
    Offender("a floor for all", stateless(lambda i, s: s.clamp(min=-1e4)), {"never_revives_a_banned_token"}),
    Offender(
        "not idle",
        processor(bad.Scaled, "stateless", params=bad.Amount),
        {"neutral_parameters_change_nothing"},
        {"neutral": {"amount": 0.0}},
    ),
    Offender("lowers the best", stateless(bad.lowers_the_best, "argmax_invariant"), {"keeps_the_best_token"}),
    Offender("writes scores", stateless(bad.writes_scores), {"leaves_its_arguments_alone"}),
    Offender("writes ids", stateless(bad.writes_ids), {"leaves_its_arguments_alone"}),
    Offender(
        "a rule writes ids",
        rule(made(lambda i, s: bool(bad.writes_ids(i, s).numel() < 0)), "stateless"),
        {"leaves_its_arguments_alone"},
    ),
    Offender(
        "float64 differs",
        stateless(lambda i, s: s * (1.1 if s.dtype == torch.float64 else 1)),
        {"agrees_with_float64", "bears_rows_of_half_precision_models"},
    ),
    Offender("overflows", stateless(bad.standardises), {"bears_rows_of_half_precision_models"}),
    Offender("counts rows", stateless(lambda i, s: s + len(s)), {"a_row_alone_equals_the_row_in_a_batch"}),
    Offender(
        "a rule counts rows",
        rule(made(lambda i, s: len(s) > 2), "stateless"),
        {"a_row_alone_equals_the_row_in_a_batch"},
    ),
    Offender(
        "the longest row counts",
        processor(bad.LongestRow, "stateless", "ragged", "reads_history"),
        {"a_row_alone_equals_the_row_in_a_ragged_batch"},
    ),
    Offender(
        "sums the padding",
        processor(bad.SumsPadding, "stateless", "ragged", "reads_history"),
        {"padding_never_matters"},
    ),
    Offender(
        "finds an id in the padding",
        processor(bad.FindsInPadding, "stateless", "ragged", "reads_history"),
        {"padding_never_matters"},
    ),
    Offender(
        "indexes by the padding",
        processor(bad.IndexesPadding, "stateless", "ragged", "reads_history"),
        {"padding_never_matters"},
    ),
    Offender(
        "reads ids in secret", stateless(lambda i, s: s + i.sum(-1, keepdim=True)), {"ignores_the_history"}
    ),
    Offender("reads the length in secret", stateless(lambda i, s: s + i.shape[1]), {"ignores_the_history"}),
    Offender(
        "remembers", processor(bad.Remembers, "stateless"), {"remembers_nothing", "two_threads_do_not_meet"}
    ),
    Offender(
        "draws for itself",
        stateless(lambda i, s: s + torch.rand(1).to(s.dtype)),
        {
            "agrees_with_float64",
            "a_row_alone_equals_the_row_in_a_batch",
            "ignores_the_history",
            "remembers_nothing",
            "two_threads_do_not_meet",
            "draws_from_the_given_numbers_alone",
        },
    ),
    Offender(
        "draws, and does not use it",
        stateless(bad.draws_in_vain),
        {"draws_from_the_given_numbers_alone"},
    ),
    Offender(
        "keeps its first number",
        processor(bad.OneNumber, needs=frozenset({"rng"})),
        {"every_row_and_step_has_numbers_of_its_own"},
    ),
    Offender("asks for values", stateless(bad.asks_the_host, "compilable"), {"compiles"}),
    Offender(
        "lowers to another number",
        processor(bad.KeepsRatio, "stateless", params=bad.Ratio, lowering=bad.lowers_to_half),
        {"lowering_equals_the_step"},
    ),
    Offender(
        "lowers to a wrong value",
        stateless(lambda i, s: s / 2, lowering=lambda params, facts: Map("temperature", 3.0)),
        {"lowering_equals_the_step"},
    ),
    Offender(
        "applying counts", processor(bad.Remembers), {"applying_changes_no_state", "two_threads_do_not_meet"}
    ),
    Offender("shares", processor(bad.Shares), {"two_threads_do_not_meet"}),
    Offender(
        "ignores active",
        processor(bad.IgnoresActive, needs=PROMPTS),
        {"observe_equals_replay", "rewind_equals_replay"},
    ),
    Offender("never forgets", processor(bad.NeverForgets, "ragged", needs=PROMPTS), {"rewind_equals_replay"}),
    Offender("loses rows", processor(bad.LosesRows, "ragged", needs=PROMPTS), {"select_equals_replay"}),
    Offender("shares forks", processor(bad.SharesForks, needs=PROMPTS), {"select_equals_replay"}),
    Offender(
        "answers with integers",
        rule(made(lambda i, s: torch.zeros(len(i))), "stateless"),
        {"answers_a_bool_a_row"},
    ),
    Offender(
        "reads scores in secret",
        rule(
            made(lambda i, s: s.sum(-1) > -torch.inf if s.shape[-1] else s.new_ones(len(s)) < 0), "ids_only"
        ),
        {"looks_at_ids_alone"},
    ),
    Offender(
        "goes on at its limit", rule(bad.EndsLate, "stateless", "reads_history"), {"stops_at_its_limit"}
    ),
    Offender(
        "a limit that is a number", rule(bad.WordyLimit, "stateless", "reads_history"), {"stops_at_its_limit"}
    ),
    Offender("a limit without room", rule(bad.NoRoom, "stateless"), {"stops_at_its_limit"}),
    Offender("chooses what is banned", chooses(lambda s, r: s.argmin(-1)), SUPPORT),
    Offender("chooses int32", chooses(lambda s, r: s.argmax(-1).int()), {*SUPPORT, *DECODING}),
    Offender(
        "draws from torch",
        chooses(bad.own_randomness),
        {
            "choice_repeats",
            "choice_does_not_depend_on_the_batch",
            "chooses_by_the_given_numbers_alone",
            "decoding_repeats",
        },
    ),
    Offender(
        "depends on the batch",
        chooses(bad.as_many_rows),
        {"choice_does_not_depend_on_the_batch", "every_row_and_step_draws_anew"},
    ),
    Offender("writes the scores", chooses(bad.zeroes_its_argument), {"leaves_the_scores_alone"}),
    Offender("no argmax", chooses(bad.last_of_equals, "argmax"), {"draw_is_argmax"}),
    Offender(
        "sharpens", chooses(runs.sharper, "categorical"), {"draw_is_categorical", "draws_in_proportion"}
    ),
    Offender("draws from one number", runs.strategy(runs.Hoarding), {"every_row_and_step_draws_anew"}),
    Offender("ends at once", runs.strategy(runs.Lazy), {"own_loop_decodes_to_the_end"}),
    Offender("goes on for ever", runs.strategy(runs.Endless), OWN_LOOP),
    Offender(
        "draws from torch in its loop",
        runs.strategy(runs.Wandering),
        {"own_loop_repeats", "own_loop_does_not_depend_on_the_batch"},
    ),
    Offender("follows the first row", runs.strategy(runs.Leading), {"own_loop_does_not_depend_on_the_batch"}),
    Offender(
        "the second run is another",
        runs.strategy(runs.Tiring),
        {"decoding_repeats", "every_row_and_step_draws_anew"},
    ),
    Offender(
        "wants what no run has",
        StrategySpec("tried", lambda encoder_ids: Draws(), needs=frozenset({"encoder_ids"})),
        DECODING,
    ),
    Offender("a probe that raises", runs.adapter(look=runs.curious), {"probe_bears_strangers"}),
    Offender("a probe without words", runs.adapter(look=runs.wordless), {"probe_bears_strangers"}),
    Offender("a probe that draws", runs.adapter(look=runs.rolling), {"probe_bears_strangers"}),
    Offender(
        "forgets tokens", runs.adapter(runs.ForgetsSteps), {"steps_equal_the_whole_context"}, runs.TABLE
    ),
    Offender("never moves rows", runs.adapter(runs.NeverMoves), {"capabilities_hold"}, runs.TABLE),
    Offender("never rewinds", runs.adapter(runs.NeverForgets), {"capabilities_hold"}, runs.TABLE),
    Offender("sees pads", runs.adapter(runs.SeesPads, masks=True), {"capabilities_hold"}, runs.TABLE),
    Offender("a model without scores", runs.model(runs.silent), {"opens_and_answers"}),
    Offender(
        "a model that grows",
        runs.model(runs.growing),
        {"steps_equal_the_whole_context", "a_row_alone_equals_the_row_in_its_batch", "capabilities_hold"},
    ),
    Offender("a model that mixes rows", runs.model(runs.mixing), {"a_row_alone_equals_the_row_in_its_batch"}),
    Offender("a tokenizer too large", runs.model(runs.with_too_many_letters), {"tokenizer_fits_the_model"}),
    Offender("a tokenizer that mumbles", runs.model(runs.with_mumbling), {"tokenizer_fits_the_model"}),
    Offender("a recipe that nobody brings", runs.ABSENT, {"reads_and_round_trips"}),
    Offender(
        "a detector that says yes to all",
        processor(Idle, "stateless", detector=partial(runs.telling, 0.001)),
        {"random_text_is_seldom_marked"},
    ),
    Offender(
        "a detector that is nowhere",
        processor(Idle, "stateless", detector="no.such.module:detect"),
        {"points_at_code", "detects_row_by_row", "random_text_is_seldom_marked"},
    ),
    Offender(
        "a detector that compares texts",
        processor(Idle, "stateless", detector=runs.comparing),
        {"detects_row_by_row"},
    ),
    Offender("no categorical", chooses(bad.second_purpose, "categorical"), {"draw_is_categorical"}),
]

# What is so wrong that several checks stumble over it; one of them says it in these words.
BLUNDERS = [
    (
        stateless(lambda i, s: s[:, :-1]),
        "keeps_shape_dtype_and_device",
        "of shape torch.Size([4, 8]) and returned",
    ),
    (stateless(lambda i, s: s.tolist()), "keeps_shape_dtype_and_device", "returned list instead of a tensor"),
    (
        stateless(lambda i, s: s.new_empty(s.shape, device="meta")),
        "keeps_shape_dtype_and_device",
        "device cpu and returned meta",
    ),
    (stateless(lambda i, s: s / 0 * (s.shape[0] // 9)), "gives_no_nan", "made NaN"),
    (
        stateless(lambda i, s: i.no_such_thing),
        "remembers_nothing",
        "AttributeError: 'Tensor' object has no attribute",
    ),
    (processor("no.such.module:Step"), "points_at_code", "cannot be imported: ModuleNotFoundError"),
    (rule(made(lambda i, s: None)), "answers_a_bool_a_row", "returned NoneType"),
    (rule(made(lambda i, s: s > 0)), "answers_a_bool_a_row", "torch.bool"),
    (chooses(lambda s, r: s.argmax(-1) + 100), "chooses_within_the_support", "outside the vocabulary"),
    (
        chooses(lambda s, r: s.argmax(-1, keepdim=True)),
        "chooses_within_the_support",
        "returned a tensor of ((4, 1)",
    ),
    (chooses(lambda s, r: s.argmax(-1).tolist()), "chooses_within_the_support", "returned list"),
]
