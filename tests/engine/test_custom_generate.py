"""`generate(custom_generate=custom_generate, recipe=...)`: a recipe's own loop inside transformers' `generate`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
from inside_generate import FREE, RAGGED, SHOWN, Counted, letters, new_tokens, padded
from random_configs import EOS, PAD, model
from transformers import GenerationConfig
from transformers.generation import logits_process as hf

from decodery import Decoder, Pipeline, Recipe
from decodery.builtin.hf_bridge import custom_generate
from decodery.contracts.errors import CannotFollow, DecoderyError, InvalidInput

pytest.importorskip("decodery_samplers")
IDS, MASK = padded(RAGGED)
WIDTH = IDS.shape[1]
STEPS = (
    Pipeline().add("repetition_penalty", 1.3).add("dry", 2.0, allowed_length=1, breakers=[]).add("top_p", 0.8)
)
LIMITED = STEPS.stop("eos").stop("max_new_tokens", 26)
RECIPES: dict[str, Pipeline] = {
    "greedy": LIMITED.with_strategy("greedy"),
    "sampling as transformers does": LIMITED.compat("hf").with_strategy("sample").add(Counted),
    "sampling as we do": LIMITED.with_strategy("sample", seed=4).add("xtc", 0.6, threshold=0.05),
    "a plugin's strategy": LIMITED.with_strategy("mirostat", seed=2),
    "beams": LIMITED.with_strategy("beam", num_beams=3, num_return_sequences=2),
    "drafts from the prompt": LIMITED.with_strategy("prompt_lookup").drop("dry"),
}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using the model-agnostic default")
        yield


def inside(name: str, recipe: Any, **said: Any) -> Any:
    generate = model(name).generate
    torch.manual_seed(3)
    said = {"custom_generate": custom_generate, **SHOWN, **said}
    return generate(IDS, attention_mask=MASK, recipe=recipe, **said)


def alone(name: str, recipe: Any, **wishes: Any) -> list[list[int]]:
    decoder = Decoder(model(name), recipe, eos_token_id=EOS, pad_token_id=PAD)
    torch.manual_seed(3)
    return decoder.generate(RAGGED, **wishes).tokens


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_the_tokens_are_those_of_our_loop(recipe: str, name: str) -> None:
    pipe = RECIPES[recipe]
    out = inside(name, pipe)
    after = torch.get_rng_state()
    expected = alone(name, pipe)
    assert new_tokens(out, WIDTH) == expected
    assert torch.equal(after, torch.get_rng_state())
    rows = len(expected) // len(RAGGED)
    assert torch.equal(out[:, :WIDTH], IDS.repeat_interleave(rows, 0)), "the prompt stands as it was given"
    assert out.shape[1] == WIDTH + max(map(len, expected))
    assert all(row[WIDTH + len(mine) :].eq(PAD).all() for row, mine in zip(out, expected, strict=True))


@pytest.mark.parametrize("recipe", ["sampling as transformers does", "sampling as we do"])
def test_samples_of_a_prompt_stand_together(recipe: str) -> None:
    out = inside("llama", RECIPES[recipe], num_return_sequences=2, **FREE)
    assert new_tokens(out, WIDTH) == alone("llama", RECIPES[recipe], n=2)


def test_without_a_recipes_steps_compat_hf_gives_the_very_result_of_generate() -> None:
    pipe = Pipeline().compat("hf").with_strategy("sample")
    torch.manual_seed(3)
    said = {"max_new_tokens": 10, "return_dict_in_generate": True, "output_scores": True, **FREE, **SHOWN}
    theirs = model("gpt2").generate(IDS, attention_mask=MASK, **said)
    ours = inside("gpt2", pipe, **said)
    assert type(ours) is type(theirs)
    assert torch.equal(ours.sequences, theirs.sequences)
    assert len(ours.scores) == len(theirs.scores)
    for row, tokens in enumerate(new_tokens(theirs.sequences, WIDTH)):
        for step in range(len(tokens)):
            assert torch.equal(ours.scores[step][row], theirs.scores[step][row])


def test_a_recipe_is_whatever_decoder_takes_and_may_be_given_beforehand(tmp_path: Any) -> None:
    path = tmp_path / "r.yaml"
    recipe = Recipe.loads("recipe: 1\nstrategy: {sample: {seed: 4}}\nprocessors: [top_k: 9]\n")
    path.write_text(recipe.to_yaml())
    expected = inside("llama", recipe.pipeline(), max_new_tokens=9)
    for given in (
        recipe,
        str(path),
        {"recipe": 1, "strategy": {"sample": {"seed": 4}}, "processors": [{"top_k": 9}]},
    ):
        assert torch.equal(inside("llama", given, max_new_tokens=9), expected)
    before = partial(custom_generate, recipe=path)
    out = model("llama").generate(IDS, attention_mask=MASK, custom_generate=before, max_new_tokens=9, **SHOWN)
    assert torch.equal(out, expected)
    assert not torch.equal(inside("llama", recipe, seed=5, max_new_tokens=9), expected)


def test_an_encoder_decoder_is_decoded_too() -> None:
    ids = torch.tensor([[11, 12, 13, PAD], [21, 22, 23, 24]])
    pipe = LIMITED.add("encoder_repetition_penalty", 2.0)
    out = model("t5").generate(
        ids, attention_mask=(ids != PAD).long(), custom_generate=custom_generate, recipe=pipe, **SHOWN
    )
    decoder = Decoder(model("t5"), pipe, eos_token_id=EOS, pad_token_id=PAD)
    assert new_tokens(out, 1) == decoder.generate([[11, 12, 13], [21, 22, 23, 24]]).tokens


# -- what generate was told ---------------------------------------------------------------------------------------


def test_the_recipes_length_counts_and_not_the_default_of_generate() -> None:
    endless = {**SHOWN, "eos_token_id": [79]}
    short = Pipeline().add("suppress_tokens", [79])
    long = short.stop("max_new_tokens", 26)
    assert inside("gpt2", long, **endless).shape[1] == WIDTH + 26
    assert inside("gpt2", long, **endless, max_new_tokens=7).shape[1] == WIDTH + 7
    assert inside("gpt2", short, **endless, max_new_tokens=30).shape[1] == WIDTH + 30
    assert inside("gpt2", short, **endless).shape[1] == WIDTH + 20


@pytest.mark.parametrize("compat", [None, "hf"])
def test_generates_own_processors_come_first_in_the_layout_they_were_made_for(compat: Any) -> None:
    """One that looks a row up by its index, one that knows the width of the prompt, and one of a caller's."""
    scale = hf.TemperatureLogitsWarper(0.5)
    said = {"min_new_tokens": 4, "repetition_penalty": 1.3, "logits_processor": [scale], "max_new_tokens": 10}
    pipe = Pipeline().compat(compat).add("no_repeat_ngram", 2)
    theirs = model("llama").generate(IDS, attention_mask=MASK, no_repeat_ngram_size=2, **said, **SHOWN)
    if compat == "hf":
        assert torch.equal(inside("llama", pipe, **said), theirs)
    shown: list[torch.Tensor] = []
    said["logits_processor"] = [scale, lambda ids, scores: shown.append(ids) or scores]
    out = inside("llama", pipe, **said)
    for step, ids in enumerate(shown):
        assert torch.equal(ids[:, :WIDTH], IDS)
        assert ids.shape == (3, WIDTH + step)
        assert torch.equal(ids, out[:, : WIDTH + step])


def test_generates_own_criteria_stand_beside_the_recipes_rules() -> None:
    shown: list[Any] = []

    def third(ids: torch.Tensor, scores: Any) -> torch.Tensor:
        shown.append(scores)
        return ids[:, -1] % 3 == 0

    out = inside("gpt2", LIMITED, stopping_criteria=[third])
    rows = new_tokens(out, WIDTH)
    for row in rows:
        kept = next((place for place, token in enumerate(row) if token % 3 == 0), None)
        assert kept is None or not any(row[kept + 1 :]), (
            "nothing but the pad id, 0, after a multiple of three"
        )
    assert any(token % 3 == 0 for row in rows for token in row)
    assert shown
    assert all(scores is None for scores in shown)


def test_a_streamer_sees_the_prompt_and_every_token() -> None:
    put: list[list[int]] = []

    class Streamer:
        def put(self, value: torch.Tensor) -> None:
            put.append(value.flatten().tolist())

        def end(self) -> None:
            put.append([-1])

    ids = torch.tensor([RAGGED[0]])
    run = {"attention_mask": torch.ones_like(ids), "recipe": LIMITED, **SHOWN}
    out = model("llama").generate(ids, custom_generate=partial(custom_generate, streamer=Streamer()), **run)
    assert put == [RAGGED[0], *([token] for token in out[0, 3:].tolist()), [-1]]
    with pytest.raises(InvalidInput, match="a streamer shows one text, not 3"):
        inside("llama", LIMITED, custom_generate=partial(custom_generate, streamer=Streamer()))


def test_a_step_that_reads_text_says_how_a_tokenizer_gets_there() -> None:
    pipe = Pipeline().stop("stop_strings", ["U", "?0"]).stop("max_new_tokens", 9)
    with pytest.raises(InvalidInput, match="'stop_strings' needs a tokenizer") as caught:
        inside("llama", pipe)
    assert "functools.partial" in str(caught.value)
    out = model("llama").generate(
        IDS,
        attention_mask=MASK,
        custom_generate=partial(custom_generate, tokenizer=letters(), recipe=pipe),
        **SHOWN,
    )
    decoder = Decoder(model("llama"), pipe, tokenizer=letters(), eos_token_id=EOS, pad_token_id=PAD)
    expected = decoder.generate(RAGGED).tokens
    assert [row[:n] for row, n in zip(out[:, WIDTH:].tolist(), map(len, expected), strict=True)] == expected


@pytest.mark.parametrize(
    ("said", "error", "named"),
    [
        ({"num_beams": 3}, InvalidInput, "beam_search, which is the recipe's to say"),
        ({"return_dict_in_generate": True, "output_logits": True}, InvalidInput, "output_logits"),
        ({"position_ids": torch.arange(5).repeat(3, 1)}, InvalidInput, "position_ids"),
        ({"recipe": None}, InvalidInput, "no recipe"),
        ({"recipe": "no-such-recipe"}, DecoderyError, "no-such-recipe"),
        (
            {"recipe": RECIPES["beams"], "min_new_tokens": 3},
            CannotFollow,
            "MinNewTokensLengthLogitsProcessor",
        ),
    ],
    ids=["beams", "logits", "positions", "nothing", "nobody", "beams beside"],
)
def test_what_cannot_be_carried_is_refused_by_name(said: Any, error: type[Exception], named: str) -> None:
    with pytest.raises(error, match=named):
        inside("llama", **{"recipe": LIMITED, "max_new_tokens": 4, **said})


def test_a_cache_that_holds_tokens_is_refused() -> None:
    from transformers import DynamicCache

    cache = DynamicCache(config=model("llama").config)
    model("llama")(IDS[:, :2], **{_cache_name(): cache}, use_cache=True)
    with pytest.raises(InvalidInput, match="holds tokens already"):
        inside("llama", LIMITED, **{_cache_name(): cache})


def _cache_name() -> str:
    import inspect

    names = inspect.signature(model("llama").forward).parameters
    return "cache" if "cache" in names else "past_key_values"


def test_a_models_own_settings_can_be_left_out() -> None:
    """Its generation config may say samplers; a config of the caller's takes their place."""
    config = GenerationConfig(max_new_tokens=26, **SHOWN)
    assert new_tokens(inside("llama", LIMITED, generation_config=config), WIDTH) == alone("llama", LIMITED)
