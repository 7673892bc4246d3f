"""GenerationConfig: what transformers builds of one is what the recipe says, and `generate` gives the same tokens."""

from __future__ import annotations

import json
import random
import warnings
from pathlib import Path

import pytest
import torch
from hf_versions import FOUR
from transformers import (
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    SynthIDTextWatermarkingConfig,
    WatermarkingConfig,
)

from decodery import Decoder, Recipe
from decodery.contracts.errors import InvalidInput, RecipeError, UnknownName
from decodery.host.registry import Host
from decodery.recipe import foreign
from decodery.recipe.presets import hf

HOST = Host("")
EOS = (1, 2)


@pytest.fixture(scope="module")
def model() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(
        n_layer=1,
        n_head=1,
        n_embd=16,
        vocab_size=40,
        n_positions=64,
        eos_token_id=1,
        bos_token_id=None,
        pad_token_id=0,
    )
    model = GPT2LMHeadModel(config).eval()
    model.generation_config = GenerationConfig(pad_token_id=0)
    return model


def step_named(name: str) -> str | None:
    try:
        return HOST.step(name)[0]
    except UnknownName:
        return None


def some_config(rng: random.Random) -> dict[str, object]:
    """Keys by chance, in an order by chance, off as often as on."""
    pool: dict[str, object] = {
        "do_sample": rng.random() < 0.7,
        "temperature": rng.choice([1.0, 0.5, 1.7]),
        "top_k": rng.choice([0, 3, 30]),
        "top_p": rng.choice([1.0, 0.5, 0.95]),
        "min_p": rng.choice([0.01, 0.2]),
        "top_h": rng.choice([0.3, 0.9]),
        "typical_p": rng.choice([1.0, 0.7]),
        "epsilon_cutoff": rng.choice([0.0, 0.01]),
        "eta_cutoff": rng.choice([0.0, 0.01]),
        "repetition_penalty": rng.choice([1.0, 1.5]),
        "encoder_repetition_penalty": rng.choice([1.0, 1.5]),
        "no_repeat_ngram_size": rng.choice([0, 2]),
        "encoder_no_repeat_ngram_size": rng.choice([0, 2]),
        "bad_words_ids": [[5], [6, 7]],
        "sequence_bias": [[[8], 2.0], [[9, 10], -3.0]],
        "min_length": rng.choice([0, 8]),
        "min_new_tokens": rng.choice([0, 4]),
        "forced_bos_token_id": 11,
        "forced_eos_token_id": rng.choice([1, [1, 2]]),
        "remove_invalid_values": rng.random() < 0.5,
        "exponential_decay_length_penalty": [2, 1.5],
        "suppress_tokens": [12, 13],
        "begin_suppress_tokens": [14],
        "watermarking_config": {"bias": 1.5},
        "renormalize_logits": rng.random() < 0.5,
        "max_new_tokens": rng.choice([5, 9]),
        "max_length": 12,
        "max_time": 60.0,
    }
    keys = rng.sample(sorted(pool), rng.randint(1, 20))
    if FOUR:
        pool.pop("top_h")  # it has none, and says nothing of a key that it does not know
    return {**{key: pool[key] for key in keys if key in pool}, "eos_token_id": list(EOS)}


def built_by_transformers(model: GPT2LMHeadModel, config: dict[str, object]) -> list[str]:
    """Names of the classes that `generate` puts together, in its order."""
    made, _ = model._prepare_generation_config(GenerationConfig(**config))
    prompt = torch.tensor([[3, 4, 5]])
    model._prepare_special_tokens(made, device=prompt.device)
    made = model._prepare_generated_length(
        generation_config=made,
        has_default_max_length="max_length" not in config,
        has_default_min_length="min_length" not in config,
        model_input_name="input_ids",
        input_ids_length=3,
        inputs_tensor=prompt,
    )
    processors = model._get_logits_processor(
        made, input_ids_seq_length=3, encoder_input_ids=prompt, device="cpu", model_kwargs={}
    )
    return [type(processor).__name__ for processor in processors]


# -- the order and the choice of steps ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(100))
def test_the_steps_are_the_classes_that_generate_builds_in_its_order(
    seed: int, model: GPT2LMHeadModel
) -> None:
    config = some_config(random.Random(seed))
    classes = built_by_transformers(model, config)
    if config.get("min_new_tokens") is not None:
        # generate also writes min_length = prompt + min_new_tokens; that class repeats what the other one does.
        classes = [name for name in classes if name != "MinLengthLogitsProcessor"]
    found = hf.read(config, HOST)
    steps = [step.qualified for step in found.fields["processors"]]
    assert steps == [name for name in map(step_named, classes) if name]
    lost = {line.key for line in found.carried if line.status == "dropped"}
    assert len(lost) == len([name for name in classes if not step_named(name)])


def test_every_parameter_of_the_installed_transformers_is_known() -> None:
    """Each key of a GenerationConfig is read, or listed with the reason why no recipe holds it."""
    for key, value in GenerationConfig().to_dict().items():
        if value is None:
            found = hf.read({key: _something(key)}, HOST)
            (line, *_) = [line for line in found.carried if line.key == key]
            assert "as far as decodery knows" not in line.note, key


def _something(key: str) -> object:
    lists = {
        "bad_words_ids": [[3]],
        "force_words_ids": [[3]],
        "sequence_bias": [[[3], 1.0]],
        "exponential_decay_length_penalty": [3, 1.1],
    }
    lists |= {"watermarking_config": {}, "suppress_tokens": [3], "begin_suppress_tokens": [3]}
    flags = {"do_sample", "remove_invalid_values", "renormalize_logits"}
    texts = {"stop_strings": "x", "dola_layers": "low"}
    if key in lists or key in texts:
        return {**lists, **texts}[key]
    return True if key in flags else 1


# -- the tokens ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_generate_gives_the_same_tokens(seed: int, model: GPT2LMHeadModel) -> None:
    rng = random.Random(1000 + seed)
    config = some_config(rng)
    for key in (
        "watermarking_config",
        "encoder_repetition_penalty",
        "encoder_no_repeat_ngram_size",
        "max_time",
    ):
        config.pop(key, None)
    if FOUR and {"min_length", "min_new_tokens", "forced_eos_token_id"} & config.keys():
        config.pop("exponential_decay_length_penalty", None)  # it makes NaN of a banned end that grows
    found = hf.read(config, HOST)
    config = {key: value for key, value in config.items() if not _is_lost(key, found)}
    prompts = torch.tensor([[3, 4, 5], [20, 21, 3]])
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            generation_config=GenerationConfig(**config, pad_token_id=0),
        )
    torch.manual_seed(seed)
    recipe = Recipe.from_generation_config(config, host=HOST)
    ours = Decoder(model, recipe, **{**found.decoder, "pad_token_id": 0}).generate(prompts).sequences
    assert torch.equal(ours, theirs), config


def _is_lost(key: str, found: hf.Read) -> bool:
    return any(line.key == key and line.status == "dropped" for line in found.carried)


def test_a_config_that_says_nothing_is_twenty_greedy_tokens(model: GPT2LMHeadModel) -> None:
    recipe = Recipe.from_generation_config(GenerationConfig(), host=HOST)
    assert (
        recipe.to_yaml().split()
        == Recipe.loads("recipe: 1\ncompat: hf\nstop: [eos, max_new_tokens: 20]").to_yaml().split()
    )
    prompts = torch.tensor([[3, 4, 5]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that nobody said how long
        theirs = model.generate(prompts, attention_mask=torch.ones_like(prompts), do_sample=False)
    assert torch.equal(Decoder(model, recipe).generate(prompts).sequences, theirs)


# -- objects, dicts, paths ----------------------------------------------------------------------------------------


def test_an_object_a_dict_a_file_and_its_folder_are_the_same(tmp_path: Path) -> None:
    config = GenerationConfig(
        do_sample=True, temperature=0.5, sequence_bias={(3, 4): -1.0}, eos_token_id=[1, 2]
    )
    config.save_pretrained(tmp_path)
    file = tmp_path / "generation_config.json"
    # In its dict transformers 4 writes out defaults, which a dict cannot tell from what was asked for.
    data = config.to_diff_dict() if FOUR else config.to_dict()
    recipes = [Recipe.from_generation_config(form, host=HOST) for form in (config, data, file, tmp_path)]
    recipes.append(Recipe.from_generation_config(str(file), host=HOST))
    recipes.append(foreign.load(file, "hf", host=HOST).recipe)
    assert recipes == [recipes[0]] * len(recipes)
    assert [step.qualified for step in recipes[0].processors] == ["sequence_bias", "temperature", "top_k"]


def test_top_k_is_fifty_only_when_sampling_and_unsaid() -> None:
    def of(**config: object) -> list[object]:
        steps = Recipe.from_generation_config(config, host=HOST).processors
        return [step.params.k for step in steps if step.spec.name == "top_k"]  # type: ignore[union-attr]

    assert of(do_sample=True) == [50]
    assert of(do_sample=True, top_k=None) == [50]
    assert of(do_sample=True, top_k=7) == [7]
    assert of(do_sample=True, top_k=0) == []
    assert of(do_sample=False, top_k=7) == []
    assert of() == []


def test_behind_a_forced_first_token_the_beginning_is_one_later() -> None:
    if not step_named("begin_suppress_tokens"):
        pytest.skip("no such step")
    for forced in ({}, {"forced_bos_token_id": 5}):
        recipe = Recipe.from_generation_config({"begin_suppress_tokens": [7], **forced}, host=HOST)
        assert recipe.processors[-1].params.after_forced_bos == bool(forced)  # type: ignore[union-attr]


def test_lengths_take_their_places_as_in_generate() -> None:
    def of(**config: object) -> list[str]:
        rules = Recipe.from_generation_config(config, host=HOST).stop
        return [f"{rule.spec.name}={rule.params}" for rule in rules if rule.params is not None]

    assert of() == ["max_new_tokens=MaxNewTokensParams(max_new_tokens=20)"]
    assert of(max_length=20) == ["max_length=MaxLengthParams(max_length=20)"]
    assert of(max_length=30, max_new_tokens=4) == ["max_new_tokens=MaxNewTokensParams(max_new_tokens=4)"]


BEAMS = {
    "beams": {"num_beams": 3, "length_penalty": 0.5, "early_stopping": "never", "num_return_sequences": 2},
    "beams that sample": {"num_beams": 2, "do_sample": True, "top_k": 9, "temperature": 1.3},
    "beams that bend": {"num_beams": 4, "repetition_penalty": 1.4, "early_stopping": True},
    "prompt lookup": {"prompt_lookup_num_tokens": 3, "max_matching_ngram_size": 2},
}


@pytest.mark.parametrize("config", BEAMS.values(), ids=BEAMS)
def test_beams_and_prompt_lookup_are_strategies(config: dict[str, object], model: GPT2LMHeadModel) -> None:
    config = {**config, "max_new_tokens": 6, "eos_token_id": [1, 2]}
    found = foreign.loads(json.dumps(config), "hf", host=HOST)
    assert not [line for line in found.carried if line.status == "dropped" and line.key != "eos_token_id"]
    prompts = torch.tensor([[3, 4, 5, 3, 4]])
    torch.manual_seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            generation_config=GenerationConfig(**config, pad_token_id=0),
        )
    torch.manual_seed(3)
    ours = Decoder(model, found.recipe, **{**found.decoder, "pad_token_id": 0}).generate(prompts).sequences
    assert torch.equal(ours, theirs)
    again = foreign.loads(foreign.dumps(found.recipe, "hf").text, "hf", host=HOST)
    assert again.recipe == found.recipe


def test_the_report_stays_with_the_recipe_and_changes_nothing_of_it() -> None:
    recipe = Recipe.from_generation_config({"do_sample": True, "guidance_scale": 2.0}, host=HOST)
    (lost,) = [line for line in recipe.carried if line.status == "dropped"]
    assert (lost.key, lost.value) == ("guidance_scale", "2.0")
    assert "mix" in lost.note
    plain = Recipe.loads(recipe.to_yaml(), host=HOST)
    assert plain == recipe
    assert plain.carried == ()
    assert plain.fingerprint == recipe.fingerprint


def test_watermarks_of_both_kinds_are_read_from_objects() -> None:
    for config, name in (
        (WatermarkingConfig(bias=3.0), "watermark"),
        (SynthIDTextWatermarkingConfig(ngram_len=4, keys=[1, 2]), "synthid_watermark"),
    ):
        found = hf.read(GenerationConfig(watermarking_config=config), HOST)
        (line,) = [line for line in found.carried if line.key == "watermarking_config"]
        if step_named(name):
            assert [step.qualified for step in found.fields["processors"]] == [name]
            assert line.status == "exact"
        else:
            assert repr(name) in line.note


def test_what_generate_passes_in_silence_is_refused_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "generation_config.json"
    config = {
        "do_sample": True,
        "top_p": 1.5,
        "no_repeat_ngram_size": -2,
        "num_beams": 0,
        "temperature": "0.7",
    }
    file.write_text(json.dumps(config, indent=2))
    with pytest.raises(RecipeError) as caught:
        Recipe.from_generation_config(file, host=HOST)
    assert [(problem.line, problem.column) for problem in caught.value.problems] == [
        (3, 3),
        (4, 3),
        (5, 3),
        (6, 3),
    ]
    report = str(caught.value)
    assert all(f"{file}:{line}:3" in report for line in (3, 4, 5, 6))
    with pytest.raises(RecipeError, match="top_p"):
        Recipe.from_generation_config({"do_sample": True, "top_p": 1.5}, host=HOST)
    with pytest.raises(RecipeError, match="--> GenerationConfig"):
        Recipe.from_generation_config(GenerationConfig(num_beams=0), host=HOST)
    for odd in (3, None, ["x"]):
        with pytest.raises(InvalidInput, match="GenerationConfig"):
            Recipe.from_generation_config(odd, host=HOST)
    with pytest.raises(RecipeError, match="cannot be read"):
        Recipe.from_generation_config(tmp_path / "nowhere.json", host=HOST)


def test_values_that_only_python_has_are_read_or_named() -> None:
    endless: list[object] = []
    endless.append(endless)
    found = hf.read(
        {
            "eos_token_id": torch.tensor([1, 2]),
            "cache_config": object(),
            "suppress_tokens": None,
            "use_cache": torch,
        },
        HOST,
    )
    assert found.decoder == {"eos_token_id": [1, 2]}
    by_key = {line.key: line for line in found.carried}
    assert by_key["cache_config"].value == "<object>"
    for odd in (endless, float("nan"), {"x": {1: endless}}):
        with pytest.raises(RecipeError):
            hf.read({"temperature": odd, "do_sample": True}, HOST)


def test_whole_numbers_are_numbers() -> None:
    """transformers' own constructors refuse `temperature: 1` and `2` for not being floats."""
    recipe = Recipe.from_generation_config(
        {"do_sample": True, "temperature": 2, "repetition_penalty": 1}, host=HOST
    )
    assert [step.qualified for step in recipe.processors] == ["temperature", "top_k"]
