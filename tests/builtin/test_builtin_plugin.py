"""What the plugin in the box declares is true."""

from __future__ import annotations

import dataclasses
import importlib.resources
import inspect
import subprocess
import sys

import pytest
import torch
import transformers
from transformers.generation import logits_process, stopping_criteria

from decodery.contracts.params import param_values
from decodery.contracts.specs import AdapterSpec, RecipeSource, StepSpec, StrategySpec, resolve
from decodery.contracts.steps import fill
from decodery.host.registry import Host

STEPS = {spec.name: spec for spec in Host("").builtin(StepSpec)}
STRATEGIES = {spec.name: spec for spec in Host("").builtin(StrategySpec)}
VALUES = {
    "temperature": {"temperature": 0.7},
    "top_k": {"k": 3},
    "top_p": {"p": 0.6},
    "min_p": {"p": 0.2},
    "typical_p": {"p": 0.5},
    "epsilon_cutoff": {"epsilon": 0.05},
    "eta_cutoff": {"epsilon": 0.05},
    "repetition_penalty": {"penalty": 1.3},
    "no_repeat_ngram": {"ngram_size": 2},
    "min_new_tokens": {"min_new_tokens": 4},
    "bad_words": {"ids": [[1], [2, 3]]},
    "sequence_bias": {"pairs": [[[1], 0.5], [[2, 3], -1.0]]},
    "top_h": {"h": 0.5},
    "encoder_repetition_penalty": {"penalty": 1.3},
    "encoder_no_repeat_ngram": {"ngram_size": 2},
    "min_length": {"min_length": 9},
    "forced_bos": {"token_id": 1},
    "forced_eos": {"token_ids": [2], "max_length": 5},
    "exponential_decay_length_penalty": {"decay": [0, 1.5]},
    "suppress_tokens": {"ids": [1, 3]},
    "begin_suppress_tokens": {"ids": [1], "begin_index": 4},
    "remove_invalid_values": {},
    "renormalize": {},
    "confidence": {"threshold": 0.5},
    "prefix_allowed_tokens": {"fn": lambda prompt, ids: [prompt, 3]},
    "watermark": {"greenlist_ratio": 0.5},
    "synthid_watermark": {"keys": [3, 1, 4], "ngram_len": 3},
    "whisper_timestamps": {"no_timestamps_token_id": 3},
    "bark_eos_prioritizer": {"min_eos_p": 1e-4},
    "alternating_codebooks": {"semantic_vocab_size": 2, "codebook_size": 2},
    "dia_eos_channel_filter": {"num_channels": 2},
    "dia_eos_delay_pattern": {"delay_pattern": [0, 2], "max_generation_len": 7},
    "eos": {},
    "stop_token_ids": {"ids": [3]},
    "max_new_tokens": {"max_new_tokens": 3},
    "max_length": {"max_length": 5},
    "stop_strings": {"strings": ["ab"]},
    "max_time": {"max_time": 1000.0},
}
NEUTRAL = {
    "temperature": {"temperature": 1.0},
    "top_k": {"k": 0},
    "top_p": {"p": 1.0},
    "min_p": {"p": 0.0},
    "typical_p": {"p": 1.0},
    "epsilon_cutoff": {"epsilon": 0.0},
    "eta_cutoff": {"epsilon": 0.0},
    "repetition_penalty": {"penalty": 1.0},
    "no_repeat_ngram": {"ngram_size": 99},
    "encoder_repetition_penalty": {"penalty": 1.0},
    "encoder_no_repeat_ngram": {"ngram_size": 99},
    "min_length": {"min_length": 0},
    "min_new_tokens": {"min_new_tokens": 0},
    "exponential_decay_length_penalty": {"decay": [0, 1.0]},
    "sequence_bias": {"pairs": [[[1], 0.0]]},
}
PROCESSORS = [name for name, spec in STEPS.items() if spec.role == "processor"]
# At the ids of these tests they find nothing to do.
IDLE = {"forced_bos", "remove_invalid_values"}
FACTS = {"eos": (2,), "prompt_lengths": torch.tensor([2, 3])}


def _call(step, spec, ids, scores):
    lengths = torch.full((len(ids),), ids.shape[1])
    if "ragged" in spec.traits:
        return step(ids, scores, lengths=lengths, prompt_lengths=FACTS["prompt_lengths"])
    return step(ids, scores)


@pytest.fixture
def ids():
    return torch.tensor([[2, 3, 1, 2], [1, 5, 1, 5]])


@pytest.fixture
def scores():
    return torch.tensor([[0.5, 2.0, -1.0, 3.0, 0.0, 0.1], [1.0, 1.0, 1.0, -2.0, 0.3, 1.0]])


def test_the_box_holds_what_the_first_issue_of_steps_names():
    assert {n for n, s in STEPS.items() if s.role == "stop"} == {
        "eos",
        "stop_token_ids",
        "max_new_tokens",
        "max_length",
        "stop_strings",
        "max_time",
        "confidence",
    }
    assert set(STEPS) == set(VALUES)
    assert {name: spec.draw for name, spec in STRATEGIES.items() if spec.draw != "custom"} == {
        "greedy": "argmax",
        "sample": "categorical",
    }
    assert {spec.name for spec in Host("").builtin(RecipeSource)} == {
        "greedy",
        "sample",
        "chat",
        "creative",
        "factual",
        "hf",
    }
    assert [spec.name for spec in Host("").adapters()] == [
        *(
            "hf",
            "hf_encoder_decoder",
            "encoder_decoder",
            "input_pos",
            "state",
            "flag",
            "step",
            "stateless",
            "rows",
        )
    ]


def test_declaring_imports_neither_torch_nor_transformers():
    code = (
        "import sys; from decodery.host.registry import Host; from decodery.contracts.specs import StepSpec\n"
        "assert len(Host('').builtin(StepSpec)) > 15\n"
        "sys.exit(' '.join({'torch', 'transformers', 'numpy'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_reference_functions_import_no_transformers():
    code = (
        "import sys; from decodery.host.registry import Host\n"
        "from decodery.contracts.specs import StepSpec, StrategySpec, resolve\n"
        "for kind in (StepSpec, StrategySpec):\n"
        "    for spec in Host('').builtin(kind): resolve(spec.factory, spec.name)\n"
        "assert 'torch' in sys.modules\n"
        "sys.exit('transformers came along' if 'transformers' in sys.modules else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_adapters_and_recipes_point_at_is_there():
    for adapter in Host("").adapters():
        assert callable(resolve(adapter.probe, adapter.name))
        assert callable(resolve(adapter.factory, adapter.name))
    for recipe in Host("").builtin(RecipeSource):
        package, _, path = recipe.path.partition(":")
        assert (importlib.resources.files(package) / path).is_file()


@pytest.mark.parametrize("name", STEPS)
def test_a_factory_takes_exactly_its_parameters_and_facts(name):
    spec = STEPS[name]
    taken = inspect.signature(resolve(spec.factory, name)).parameters
    fields = [] if spec.params is None else [field.name for field in dataclasses.fields(spec.params)]
    assert set(taken) == {*fields, *spec.needs, *spec.wants}
    assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in taken.values())


@pytest.mark.parametrize("name", STEPS)
def test_defaults_of_a_factory_are_those_of_its_parameters(name):
    spec = STEPS[name]
    if spec.params is None:
        return
    declared = {f.name: f.default for f in dataclasses.fields(spec.params)}
    for parameter in inspect.signature(resolve(spec.factory, name)).parameters.values():
        if parameter.name in declared and parameter.default is not inspect.Parameter.empty:
            assert declared[parameter.name] == parameter.default


@pytest.mark.parametrize("name", STEPS)
def test_the_parameters_reach_the_step(name, build):
    values = param_values(fill(STEPS[name], dict(VALUES[name])))
    step = build(name, dict(VALUES[name]), **FACTS)
    kept = {field: getattr(step, field, None) for field in values}
    # Ids become tensors or tables; what they do is tested elsewhere.
    tables = ("ids", "pairs", "token_ids")
    assert {f: v for f, v in values.items() if f not in tables} == {
        f: v for f, v in kept.items() if f not in tables
    }


def test_everything_has_a_summary_and_every_sampler_its_source():
    for kind in (StepSpec, StrategySpec, AdapterSpec, RecipeSource):
        for spec in Host("").builtin(kind):
            assert spec.summary
            assert not spec.summary.endswith(".")
            assert "\n" not in spec.summary
    assert all(STEPS[name].reference for name in PROCESSORS)


def test_an_alias_is_a_name_that_the_installed_transformers_has():
    arguments = {
        *transformers.GenerationConfig().to_dict(),
        *inspect.signature(transformers.GenerationMixin.generate).parameters,
    }
    for spec in STEPS.values():
        for alias in spec.aliases:
            places = (transformers, logits_process, stopping_criteria)
            # The one step whose class transformers 4 lacks; its function needs none.
            known = (
                alias in arguments or spec.name == "top_h" or any(hasattr(place, alias) for place in places)
            )
            assert known, f"{spec.name}: {alias}"


def test_every_step_of_transformers_here_answers_to_its_class():
    for alias, name in {
        "TemperatureLogitsWarper": "temperature",
        "NoRepeatNGramLogitsProcessor": "no_repeat_ngram",
        "bad_words_ids": "bad_words",
        "StopStringCriteria": "stop_strings",
    }.items():
        assert Host("").step(alias)[0] == name


def test_no_two_steps_answer_to_one_name():
    names = [name for spec in STEPS.values() for name in (spec.name, *spec.aliases)]
    assert len(names) == len(set(names))


def test_stop_rules_say_why_a_row_ended():
    reasons = {name: spec.finish_reason for name, spec in STEPS.items() if spec.role == "stop"}
    assert reasons == {
        "eos": "eos",
        "stop_token_ids": "stop_token_ids",
        "max_new_tokens": "length",
        "max_length": "length",
        "stop_strings": "stop_string",
        "max_time": "max_time",
        "confidence": "confidence",
    }


@pytest.mark.parametrize("name", NEUTRAL)
def test_a_neutral_value_gives_back_the_very_tensor(name, build, ids, scores):
    assert _call(build(name, NEUTRAL[name], **FACTS), STEPS[name], ids, scores) is scores


def test_min_new_tokens_without_an_end_of_sequence_gives_back_the_very_tensor(build, ids, scores):
    step = build("min_new_tokens", {"min_new_tokens": 5}, eos=(), prompt_lengths=FACTS["prompt_lengths"])
    assert step(ids, scores) is scores


@pytest.mark.parametrize("name", STEPS)
def test_a_step_leaves_the_callers_tensors_alone(name, build, ids, scores):
    ids_before, scores_before = ids.clone(), scores.clone()
    got = _call(build(name, VALUES[name], **FACTS), STEPS[name], ids, scores)
    if STEPS[name].role == "processor" and name not in IDLE:
        assert not torch.equal(got, scores), "the values of this test make the step do nothing"
        assert got.data_ptr() != scores.data_ptr()
    assert torch.equal(ids, ids_before)
    assert torch.equal(scores, scores_before)


@pytest.mark.parametrize("name", [n for n in STEPS if "stateless" in STEPS[n].traits])
def test_a_stateless_step_answers_the_same_whatever_it_saw_between(name, build, ids, scores):
    step, spec = build(name, VALUES[name], **FACTS), STEPS[name]
    first = _call(step, spec, ids, scores).clone()
    _call(step, spec, ids.flip(0, 1), scores.flip(0) * 2)
    assert torch.equal(_call(step, spec, ids, scores), first)


@pytest.mark.parametrize("name", [n for n in PROCESSORS if "reads_history" not in STEPS[n].traits])
def test_a_step_that_reads_no_history_answers_without_ids(name, build, ids, scores):
    step = build(name, VALUES[name], **FACTS)
    assert torch.equal(step(ids, scores), step(ids[:, :0], scores))


@pytest.mark.parametrize("name", [n for n in STEPS if "argmax_invariant" in STEPS[n].traits])
def test_an_argmax_invariant_step_keeps_the_best_token_of_tied_rows_too(name, build, batches):
    for values in (
        VALUES[name],
        {**VALUES[name], "ties": "cut", "k": 1} if name == "top_k" else VALUES[name],
    ):
        step = build(name, values)
        for before in batches(repeats=4):
            after = step(torch.zeros(len(before), 1, dtype=torch.int64), before)
            assert torch.equal(after.argmax(-1), before.argmax(-1))


@pytest.mark.parametrize(("name", "values"), [("top_p", {"p": 0.1}), ("typical_p", {"p": 0.2})])
def test_a_step_without_that_trait_does_move_it(name, values, build):
    tied_and_peaked = torch.tensor([[0.4, 0.4, 0.1, 0.05, 0.05], [0.4, 0.15, 0.15, 0.15, 0.15]]).log()
    after = build(name, values)(torch.zeros(2, 1, dtype=torch.int64), tied_and_peaked)
    assert not torch.equal(after.argmax(-1), tied_and_peaked.argmax(-1))


@pytest.mark.parametrize("name", [n for n in STEPS if "compilable" in STEPS[n].traits])
def test_a_compilable_step_traces_in_one_piece(name, build, ids, scores):
    step, spec = build(name, VALUES[name], **FACTS), STEPS[name]
    wanted = _call(build(name, VALUES[name], **FACTS), spec, ids, scores)
    torch.compiler.reset()  # else the functions that steps share run into the limit on recompiling
    traced = torch.compile(
        lambda i, s: _call(step, spec, i, s), fullgraph=True, backend="eager", dynamic=False
    )
    assert torch.equal(traced(ids, scores), wanted)


def test_strategies_choose_as_they_say(scores):
    class Rng:
        def categorical(self, scores, purpose="draw"):
            return scores.argmin(dim=-1)

    greedy = resolve(STRATEGIES["greedy"].factory, "greedy")()
    sample = resolve(STRATEGIES["sample"].factory, "sample")()
    assert greedy.choose(scores, Rng()).tolist() == [3, 0]
    assert sample.choose(scores, Rng()).tolist() == [2, 3]
