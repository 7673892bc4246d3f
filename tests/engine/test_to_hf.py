"""`pipe.to_hf()` and `pipe.to_hf_stopping()`: a recipe's steps inside transformers' `generate` give the tokens that our
own loop gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hf_versions import not_with_4
from inside_generate import FREE, RAGGED, SHOWN, Calls, Counted, Recounted, letters, new_tokens, padded
from random_configs import EOS, PAD, model
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteriaList

from decodery import Decoder, Pipeline
from decodery.contracts.errors import CannotFollow, DecoderyError, InvalidInput
from decodery.engine.into_hf.following import Change, what_changed

pytest.importorskip("decodery_samplers")
IDS, MASK = padded(RAGGED)
NEW = 12
LAYOUT = Pipeline().compat("hf").with_strategy("sample")
RECIPES: dict[str, Pipeline] = {
    "edits and samplers": LAYOUT.add("repetition_penalty", 1.3)
    .add("no_repeat_ngram", 2)
    .add("min_new_tokens", 3)
    .add("temperature", 0.9)
    .add("top_p", 0.8),
    "a plugin's": LAYOUT.add("dry", 2.0, allowed_length=1, breakers=[])
    .add("top_n_sigma", 1.5)
    .add("quadratic", 0.3),
    "one that draws": LAYOUT.add("xtc", 0.6, threshold=0.05),
    "one with state": LAYOUT.add(Counted),
    "opaque": LAYOUT.add(Calls).add(lambda ids, scores: scores * 1.5),
    "the end": LAYOUT.add("forced_eos", [EOS]),
}


def ours(name: str, pipe: Pipeline, n: int = 1) -> list[list[int]]:
    decoder = Decoder(model(name), pipe, eos_token_id=EOS, pad_token_id=PAD)
    torch.manual_seed(3)
    return decoder.generate(RAGGED, n=n).tokens


def theirs(name: str, processors: Any, n: int = 1, **said: Any) -> list[list[int]]:
    said = {"max_new_tokens": NEW, "num_return_sequences": n, **SHOWN, **said}
    generate = model(name).generate  # made before the seed is set
    torch.manual_seed(3)
    out = generate(IDS, attention_mask=MASK, logits_processor=processors, **said)
    return new_tokens(out, IDS.shape[1])


def limited(pipe: Pipeline) -> Pipeline:
    return pipe.stop("eos").stop("max_new_tokens", NEW)


# -- the same tokens ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(("name", "n"), [("llama", 1), ("gpt2", 2)])
def test_generate_with_the_processors_gives_the_tokens_of_our_loop(recipe: str, name: str, n: int) -> None:
    pipe = limited(RECIPES[recipe])
    processors = pipe.to_hf(attention_mask=MASK, **SHOWN)
    assert isinstance(processors, LogitsProcessorList)
    got = theirs(name, processors, n, **FREE)
    after = torch.get_rng_state()
    assert got == ours(name, pipe, n)
    assert torch.equal(after, torch.get_rng_state())
    assert got != theirs(name, LogitsProcessorList(), n, **FREE), "the recipe changed nothing"


def test_without_compat_a_step_never_sees_padding_and_draws_what_our_loop_draws() -> None:
    greedy = limited(Pipeline().add("repetition_penalty", 1.3).add("xtc", 0.6, threshold=0.01).add(Counted))
    processors = greedy.to_hf(IDS, attention_mask=MASK, seed=5, **SHOWN)
    got = theirs("llama", processors)
    decoder = Decoder(model("llama"), greedy, eos_token_id=EOS, pad_token_id=PAD)
    assert got == decoder.generate(RAGGED, seed=5).tokens
    for row, prompt in enumerate(RAGGED):
        alone = torch.tensor([prompt])
        out = model("llama").generate(
            alone,
            attention_mask=torch.ones_like(alone),
            logits_processor=greedy.to_hf(seed=5, **SHOWN),
            max_new_tokens=NEW,
            **SHOWN,
        )
        assert new_tokens(out, len(prompt)) == [got[row]]


def test_an_encoder_decoders_processors_read_the_encoders_ids_without_their_padding() -> None:
    ids = torch.tensor([[11, 12, 13, PAD], [21, 22, 23, 24]])
    mask = (ids != PAD).long()
    pipe = limited(Pipeline().add("encoder_repetition_penalty", 2.0).add("encoder_no_repeat_ngram", 1))
    for facts in ({"encoder_attention_mask": mask}, {}):
        processors = pipe.to_hf(encoder_ids=ids, **facts, **SHOWN)
        out = model("t5").generate(
            ids, attention_mask=mask, logits_processor=processors, max_new_tokens=NEW, **SHOWN
        )
        decoder = Decoder(model("t5"), pipe, eos_token_id=EOS, pad_token_id=PAD)
        assert new_tokens(out, 1) == decoder.generate([[11, 12, 13], [21, 22, 23, 24]]).tokens


# -- one list, many runs ------------------------------------------------------------------------------------------


def test_every_call_of_generate_has_fresh_state_even_when_it_goes_on_where_the_last_one_ended() -> None:
    processors = LAYOUT.with_strategy("greedy").add(Counted).to_hf()
    ids = torch.tensor([[11, 12, 13]])
    run = {"logits_processor": processors, "max_new_tokens": 4, "attention_mask": None, **SHOWN}
    first = model("llama").generate(ids, **run)
    run["attention_mask"] = None
    second = model("llama").generate(first, **run)
    anew = model("llama").generate(first, **{**run, "logits_processor": [Recounted(first.shape[1])]})
    assert torch.equal(second, anew)
    assert torch.equal(model("llama").generate(ids, **run), first)


def test_a_processor_that_somebody_keeps_finds_out_that_a_run_is_another() -> None:
    (kept,) = LAYOUT.with_strategy("greedy").add(Counted).to_hf()
    assert isinstance(kept, LogitsProcessor)
    assert "Counted" in repr(kept) or "counted" in repr(kept)
    for prompts in ([[11, 12, 13]], [[11, 12, 13]], [[21, 22], [23, 24]], [[11, 12]], [[31, 32, 33, 34, 35]]):
        ids = torch.tensor(prompts)
        run = {"attention_mask": torch.ones_like(ids), "max_new_tokens": 5, **SHOWN}
        expected = model("gpt2").generate(ids, logits_processor=[Recounted(ids.shape[1])], **run)
        assert torch.equal(model("gpt2").generate(ids, logits_processor=[kept], **run), expected)


def test_the_list_itself_can_be_called_in_a_loop_and_takes_more_steps() -> None:
    processors = LAYOUT.add(Counted).to_hf()
    processors.append(lambda ids, scores: scores + 1)
    ids, scores = torch.tensor([[11, 12]]), torch.zeros(1, 80)
    assert processors(ids, scores).eq(1).all()
    after = processors(torch.tensor([[11, 12, 7]]), scores)
    assert after[0, :7].eq(1).all()
    assert after[0, 7:].eq(0.5).all()
    assert not scores.any()
    assert len(list(processors)) == len(processors) == 2


def test_facts_of_another_batch_are_refused() -> None:
    processors = RECIPES["edits and samplers"].to_hf(attention_mask=MASK, **SHOWN)
    other = torch.tensor([[11, 12], [13, 14]])
    with pytest.raises(InvalidInput, match="generate shows 2 rows, and the facts are those of 3"):
        model("llama").generate(other, logits_processor=processors, max_new_tokens=3, **SHOWN)
    with pytest.raises(InvalidInput, match="attention_mask has 5 columns, the prompt that generate shows 2"):
        processors(torch.zeros(3, 2, dtype=torch.int64), torch.zeros(3, 80))
    with pytest.raises(InvalidInput, match="prompt 2, attention_mask 3"):
        Pipeline().to_hf(other, attention_mask=MASK)
    with pytest.raises(InvalidInput, match="pad on the left"):
        Pipeline().to_hf(attention_mask=MASK.flip(1))


# -- beams and drafts of generate's own ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_state_follows_the_beams_of_generate(name: str) -> None:
    stated = LAYOUT.with_strategy("greedy").add(Counted).to_hf(attention_mask=MASK)
    beams = {"num_beams": 3, "num_return_sequences": 2, "max_new_tokens": 8}
    run = {"attention_mask": MASK, **beams, **SHOWN}
    expected = model(name).generate(IDS, logits_processor=[Recounted(IDS.shape[1])], **run)
    assert torch.equal(model(name).generate(IDS, logits_processor=stated, **run), expected)


@not_with_4["pads"]
def test_beams_of_ragged_rows_are_those_of_generates_own_processor() -> None:
    penalty = LAYOUT.with_strategy("greedy").add("repetition_penalty", 1.5).to_hf(attention_mask=MASK)
    run = {"attention_mask": MASK, "num_beams": 3, "num_return_sequences": 2, "max_new_tokens": 8, **SHOWN}
    expected = model("llama").generate(IDS, repetition_penalty=1.5, **run)
    assert torch.equal(model("llama").generate(IDS, logits_processor=penalty, **run), expected)


def test_state_follows_the_drafts_of_generate() -> None:
    ids = torch.tensor([[11, 12, 13, 11, 12, 13, 11]])
    run = {"attention_mask": torch.ones_like(ids), "max_new_tokens": NEW, **SHOWN}
    stated = LAYOUT.with_strategy("greedy").add(Counted).to_hf(ids)
    expected = model("llama").generate(ids, logits_processor=[Recounted(7)], **run)
    assert torch.equal(
        model("llama").generate(ids, logits_processor=stated, prompt_lookup_num_tokens=3, **run), expected
    )


@pytest.mark.parametrize(
    ("said", "what"),
    [({"num_beams": 3}, "reordered"), ({"prompt_lookup_num_tokens": 3}, "taken back")],
    ids=["beams", "drafts"],
)
def test_a_step_that_cannot_follow_is_refused_by_name(said: dict[str, Any], what: str) -> None:
    ids = torch.tensor([[11, 12, 13, 11, 12, 13, 11]])
    with pytest.raises(CannotFollow, match=f"'calls' may keep state .* cannot be {what}"):
        model("llama").generate(
            ids,
            attention_mask=torch.ones_like(ids),
            logits_processor=Pipeline().add(Calls).to_hf(),
            max_new_tokens=NEW,
            **said,
            **SHOWN,
        )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([[1, 2, 3]], [[1, 2, 3, 4]], Change(None, 3)),
        ([[1, 2, 3]], [[1, 2, 3]], Change(None, 3)),
        ([[1, 2, 3, 4, 5]], [[1, 2, 3, 4]], Change(None, 4)),
        ([[1, 2, 3, 4, 5]], [[1, 2, 3, 9]], Change(None, 3)),
        ([[1, 2, 3]], [[1, 2]], None),
        ([[1, 2, 3]], [[1, 9, 3, 4]], None),
        ([[1, 2, 3]], [[1, 2, 3, 4]] * 2, None),
        ([[1, 2, 3], [1, 2, 4]], [[1, 2, 4, 7], [1, 2, 3, 8]], Change([1, 0], 3)),
        ([[1, 2, 3], [1, 2, 4]], [[1, 2, 4, 7], [1, 2, 4, 8]], Change([1, 1], 3)),
        ([[1, 2, 3], [1, 2, 3]], [[1, 2, 3, 7], [1, 2, 3, 8]], Change(None, 3)),
        (
            [[1, 2, 3, 5], [1, 2, 3, 5], [1, 2, 4, 4]],
            [[1, 2, 4, 4, 0], [1, 2, 3, 5, 0], [1, 2, 3, 5, 0]],
            Change([2, 1, 0], 4),
        ),
    ],
)
def test_what_became_of_a_batch_is_read_off_its_ids(old: Any, new: Any, expected: Change | None) -> None:
    """Of a prompt of two."""
    assert what_changed(torch.tensor(old), torch.tensor(new), 2) == expected


# -- stop rules ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rules",
    [
        lambda pipe: pipe.stop("stop_token_ids", [45, 17, 2]).stop("max_new_tokens", 9),
        lambda pipe: pipe.stop("stop_strings", ["U", "?0"]).stop("max_new_tokens", 9),
        lambda pipe: pipe.stop(lambda ids, scores: ids[:, -1] % 3 == 0).stop("max_length", 11),
        lambda pipe: pipe.stop("max_time", 100.0).stop("max_new_tokens", 3),
    ],
    ids=["ids", "strings", "opaque", "clock"],
)
@pytest.mark.parametrize("compat", ["hf", None])
def test_the_stop_rules_end_rows_where_our_loop_ends_them(rules: Any, compat: Any) -> None:
    pipe = rules(Pipeline().compat(compat).stop("eos").add("repetition_penalty", 1.2))
    facts = {"attention_mask": MASK, "tokenizer": letters(), **SHOWN}
    out = model("llama").generate(
        IDS,
        attention_mask=MASK,
        logits_processor=pipe.to_hf(**facts),
        stopping_criteria=pipe.to_hf_stopping(**facts),
        max_new_tokens=40,
        **SHOWN,
    )
    gen = Decoder(model("llama"), pipe, tokenizer=letters(), eos_token_id=EOS, pad_token_id=PAD).generate(
        RAGGED
    )
    width = IDS.shape[1]
    assert [
        row[width : width + len(mine)].tolist() for row, mine in zip(out, gen.tokens, strict=True)
    ] == gen.tokens
    assert out.shape[1] == width + max(map(len, gen.tokens)), "generate ends with its longest row"
    for row, mine in zip(out, gen.tokens, strict=True):
        assert row[width + len(mine) :].eq(PAD).all()


def test_a_criterion_is_fresh_in_every_call_and_a_list_of_transformers() -> None:
    criteria = Pipeline().stop("max_new_tokens", 4).to_hf_stopping()
    assert isinstance(criteria, StoppingCriteriaList)
    for prompts in ([[11, 12]], [[11, 12, 13]], [[11], [12]]):
        ids = torch.tensor(prompts)
        out = model("llama").generate(
            ids,
            attention_mask=torch.ones_like(ids),
            stopping_criteria=criteria,
            max_new_tokens=30,
            pad_token_id=PAD,
            eos_token_id=None,
        )
        assert out.shape[1] == ids.shape[1] + 4


def test_a_rule_that_looks_at_scores_says_what_generate_must_keep() -> None:
    criteria = Pipeline().stop("confidence", 0.9).to_hf_stopping()
    ids = torch.tensor([[11, 12]])
    run = {
        "attention_mask": torch.ones_like(ids),
        "stopping_criteria": criteria,
        "max_new_tokens": 6,
        **SHOWN,
    }
    with pytest.raises(InvalidInput, match="'confidence' looks at scores") as caught:
        model("llama").generate(ids, **run)
    assert "output_scores=True" in str(caught.value)
    kept = model("llama").generate(ids, return_dict_in_generate=True, output_scores=True, **run)
    pipe = Pipeline().stop("eos").stop("confidence", 0.9).stop("max_new_tokens", 6)
    assert (
        new_tokens(kept.sequences, 2) == Decoder(model("llama"), pipe, eos_token_id=EOS).generate(ids).tokens
    )


# -- what cannot be carried ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pipe", "named"),
    [
        (Pipeline().with_strategy("beam", num_beams=2), "strategy 'beam'"),
        (Pipeline().with_strategy("mirostat"), "strategy 'mirostat'"),
        (Pipeline().with_options(on_bad_row="stop_row"), "on_bad_row: stop_row"),
    ],
)
def test_what_processors_cannot_carry_is_refused_by_name(pipe: Pipeline, named: str) -> None:
    with pytest.raises(DecoderyError, match=named) as caught:
        pipe.to_hf()
    assert "custom_generate" in str(caught.value)


def test_a_fact_that_a_step_needs_is_asked_for_by_name() -> None:
    with pytest.raises(InvalidInput, match="'encoder_no_repeat_ngram' needs encoder_ids"):
        Pipeline().add("encoder_no_repeat_ngram", 2).to_hf()(IDS, torch.zeros(3, 80))
    with pytest.raises(InvalidInput, match=r"there is no fact 'eos_id'\n.*eos_token_id"):
        Pipeline().to_hf(eos_id=5)


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("attention_mask", [[1, 1]]),
        ("attention_mask", torch.ones(3)),
        ("encoder_attention_mask", [[1]]),
        ("vocab_size", "80"),
        ("vocab_size", 0),
        ("pad_token_id", 1.5),
        ("pad_token_id", True),
        ("max_length", -1),
    ],
)
def test_a_fact_of_the_wrong_kind_is_told_where_it_is_given(fact: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=f"^{fact} is ") as caught:
        Pipeline().add("temperature", 0.8).to_hf(**{fact: value})
    assert "give" in str(caught.value)


@pytest.mark.parametrize("give", ["to_hf", "to_hf_stopping", "bind"])
@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"eos_token_id": -1}, "eos_token_id = -1 is no token's id"),
        ({"eos_token_id": [2, 80], "vocab_size": 80}, "eos_token_id = 80 is outside the vocabulary of 80"),
        ({"eos_token_id": True}, "token id True is no id"),
        ({"pad_token_id": 80, "vocab_size": 80}, "pad_token_id = 80 is outside the vocabulary of 80"),
        ({"pad_token_id": -1}, "pad_token_id is -1"),
        ({"vocab_size": 0}, "vocab_size is 0"),
        ({"max_length": "long"}, "max_length is 'long'"),
    ],
)
def test_special_ids_that_no_row_could_have_are_told_where_they_are_given(
    give: str, facts: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidInput, match=told) as caught:
        getattr(Pipeline().stop("eos"), give)(IDS, **facts)
    assert "= help: " in str(caught.value)


def test_a_mask_of_another_layout_is_told_before_generate_runs() -> None:
    with pytest.raises(InvalidInput, match="pad on the left"):
        Pipeline().to_hf_stopping(attention_mask=torch.tensor([[1, 1, 0]]))


def test_no_rows_are_refused_by_name() -> None:
    processors = Pipeline().add("temperature", 0.8).to_hf(attention_mask=MASK)
    with pytest.raises(InvalidInput, match="no rows"):
        processors(IDS[:0], torch.zeros(0, 80))
