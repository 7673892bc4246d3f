"""The detectors against transformers' own and against references written from the papers in plain Python."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hf_versions import not_with_4
from scipy import stats
from transformers import LlamaConfig, WatermarkDetector
from transformers.generation import logits_process as hf

from decodery.builtin.watermarks import Evidence, detect_synthid_watermark, detect_watermark
from decodery.contracts.errors import InvalidInput, InvalidParams

V = 60
SCHEMES: list[dict[str, Any]] = [
    {},
    {"greenlist_ratio": 0.5, "context_width": 3},
    {"hashing_key": 7, "seeding_scheme": "selfhash"},
    {"seeding_scheme": "selfhash", "context_width": 4, "greenlist_ratio": 0.6},
]
KEYS = [654, 400, 836, 123, 340]


def _texts(count: int, length: int, seed: int, vocab: int = 12) -> torch.Tensor:
    """Few different tokens, so that n-grams come again."""
    return torch.randint(0, vocab, (count, length), generator=torch.Generator().manual_seed(seed))


def _theirs(rows: torch.Tensor, values: dict[str, Any], ignore: bool) -> Any:
    config = LlamaConfig(vocab_size=V, bos_token_id=V - 1, eos_token_id=None)
    settings = {"greenlist_ratio": 0.25, "bias": 2.0, "context_width": 1, **values}
    return WatermarkDetector(config, "cpu", settings, ignore_repeated_ngrams=ignore)(rows, return_dict=True)


@pytest.mark.parametrize("values", SCHEMES, ids=str)
def test_every_token_counted_it_is_the_z_score_of_transformers(values):
    rows = _texts(5, 40, seed=0)
    # Theirs begins a selfhash text a token early, where the step was not yet at work.
    theirs = _theirs(rows[:, int("seeding_scheme" in values) :], values, ignore=False)
    for place, ours in enumerate(detect_watermark(rows, vocab_size=V, repeated=True, **values)):
        assert ours.scored == theirs.num_tokens_scored[place] == 40 - values.get("context_width", 1)
        assert ours.score == pytest.approx(theirs.green_fraction[place], abs=1e-12)
        assert ours.z == pytest.approx(theirs.z_score[place], abs=1e-12)


@not_with_4["windows"]
@pytest.mark.parametrize("values", [{}, {"hashing_key": 7, "greenlist_ratio": 0.4}], ids=str)
def test_by_default_a_pair_counts_once_as_transformers_counts_n_grams(values):
    rows = _texts(5, 200, seed=1)
    theirs = _theirs(rows, values, ignore=True)
    for place, ours in enumerate(detect_watermark(rows, vocab_size=V, **values)):
        assert ours.scored == theirs.num_tokens_scored[place] < 199
        assert ours.z == pytest.approx(theirs.z_score[place], abs=1e-12)


@pytest.mark.parametrize("values", SCHEMES, ids=str)
def test_a_token_is_green_where_the_step_gave_it_its_bonus(values, build):
    """The step itself is asked: a token whose score rose is green."""
    [row] = _texts(1, 30, seed=2, vocab=V).tolist()
    step, width = build("watermark", {"bias": 1.0, **values}), values.get("context_width", 1)
    own = values.get("seeding_scheme") == "selfhash"
    green = 0
    for place in range(width, 30):
        scores = torch.zeros(1, V)
        scores[0, row[place]] = 5.0  # among the best, as a token that was chosen is
        green += int(step(torch.tensor([row[:place]]), scores)[0, row[place]] > 5.0)
    [found] = detect_watermark([row], vocab_size=V, repeated=True, **values)
    assert found.scored == 30 - width
    assert round(found.score * found.scored) == green
    assert own or green


def test_p_is_the_tail_of_the_binomial_distribution():
    for found in detect_watermark(_texts(8, 50, seed=3), vocab_size=V):
        green = round(found.score * found.scored)
        wanted = stats.binom.sf(green - 1, found.scored, 15 / V)
        assert found.p == pytest.approx(wanted, rel=1e-9)


def test_prompts_seed_the_first_tokens_and_are_not_scored():
    [row] = _texts(1, 30, seed=4, vocab=V).tolist()
    values = {"context_width": 2, "vocab_size": V, "repeated": True}
    [whole], [split] = (
        detect_watermark([row], **values),
        detect_watermark([row[10:]], prompts=[row[:10]], **values),
    )
    [first] = detect_watermark([row[:10]], **values)
    assert (whole.scored, split.scored, first.scored) == (28, 20, 8)
    assert whole.score * 28 == pytest.approx(split.score * 20 + first.score * 8)


@pytest.mark.parametrize("detect", [detect_watermark, detect_synthid_watermark])
def test_a_ragged_batch_says_of_each_row_what_it_says_of_it_alone(detect):
    rows = [
        row[:length] for row, length in zip(_texts(5, 60, seed=5).tolist(), (60, 1, 33, 0, 7), strict=True)
    ]
    more = {"keys": KEYS} if detect is detect_synthid_watermark else {}
    together = detect(rows, vocab_size=V, **more)
    assert together == [detect([row], vocab_size=V, **more)[0] for row in rows]
    for short in (1, 3):
        assert (together[short].scored, together[short].p, together[short].z) == (0, 1.0, 0.0)


# -- SynthID ---------------------------------------------------------------------------------------------------


def _g_values(row: list[int], keys: list[int], length: int, table: list[int]) -> list[list[int]]:
    """From the paper's hash, in whole numbers: for each new context, the g-values of its n-gram's layers."""

    def hashed(state: int, data: list[int]) -> int:
        for value in data:
            state = ((state + value) * 6364136223846793005 + 1) % 2**64
        return state

    found, seen = [], set()
    for place in range(length - 1, len(row)):
        context = tuple(row[place - length + 1 : place])
        if context not in seen:
            seen.add(context)
            state = hashed(hashed(1, list(context)), [row[place]])
            layers = [hashed(state, [key]) for key in keys]
            signed = [layer - 2**64 if layer >= 2**63 else layer for layer in layers]
            found.append([table[layer % len(table)] for layer in signed])
    return found


@pytest.mark.parametrize("size", [2**16, 64, 1000])
def test_the_mean_is_that_of_g_values_computed_in_whole_numbers(size):
    theirs = hf.SynthIDTextWatermarkLogitsProcessor(
        ngram_len=3, keys=KEYS, sampling_table_size=size, sampling_table_seed=5, context_history_size=1024,
        device=torch.device("cpu"),
    )  # fmt: skip
    table = theirs.sampling_table.tolist()
    rows = _texts(4, 50, seed=6, vocab=6)
    values = {"keys": KEYS, "ngram_len": 3, "sampling_table_size": size, "sampling_table_seed": 5}
    plain = detect_synthid_watermark(rows, mean="plain", **values)
    weighted = detect_synthid_watermark(rows, **values)
    weights = [10 - 9 * layer / 4 for layer in range(5)]
    for row, one, other in zip(rows.tolist(), plain, weighted, strict=True):
        g = _g_values(row, KEYS, 3, table)
        assert one.scored == len(g) < 48
        assert one.score == pytest.approx(sum(map(sum, g)) / (5 * len(g)), abs=1e-12)
        wanted = sum(w * v for values in g for w, v in zip(weights, values, strict=True)) / sum(weights)
        assert other.score == pytest.approx(wanted / len(g), abs=1e-12)
    # transformers' own g-values and mask, as its detector multiplies them.
    masks = theirs.compute_context_repetition_mask(rows).unsqueeze(-1)
    means = (theirs.compute_g_values(rows) * masks).sum((1, 2)) / (masks.sum((1, 2)) * 5)
    assert torch.allclose(means.double(), torch.tensor([found.score for found in plain]).double(), atol=1e-6)


@pytest.mark.parametrize(("size", "mean"), [(2**16, "weighted"), (2**16, "plain"), (64, "weighted")])
def test_the_z_score_is_standard_over_tables_however_small(size, mean):
    """The table is what chance is here: of one text, over many tables, z has mean 0 and variance 1."""
    [row] = _texts(1, 60, seed=7, vocab=V).tolist()
    values = {"keys": KEYS, "ngram_len": 4, "sampling_table_size": size, "mean": mean}
    found = torch.tensor(
        [detect_synthid_watermark([row], sampling_table_seed=seed, **values)[0].z for seed in range(400)]
    )
    assert abs(float(found.mean())) * math.sqrt(400) < 4.9  # p = 1e-6
    spread = float(found.square().sum())
    assert stats.chi2.ppf(5e-7, 400) < spread < stats.chi2.ppf(1 - 5e-7, 400)


# -- hostile ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", ["a text", [["a"]], [[1.5]], torch.zeros(3), torch.zeros(2, 3), 5])
def test_what_is_no_rows_of_ids_is_refused(rows):
    with pytest.raises(InvalidInput, match="a list of token ids a text"):
        detect_watermark(rows, vocab_size=V)


def test_ids_outside_the_vocabulary_and_parameters_out_of_bounds_are_refused():
    with pytest.raises(InvalidInput, match="outside the vocabulary of 60"):
        detect_watermark([[1, 60]], vocab_size=V)
    with pytest.raises(InvalidInput, match="2 prompts for 1 texts"):
        detect_watermark([[1, 2]], vocab_size=V, prompts=[[1], [2]])
    with pytest.raises(InvalidParams, match="greenlist_ratio"):
        detect_watermark([[1, 2]], vocab_size=V, greenlist_ratio=1.5)
    with pytest.raises(InvalidParams, match="keys"):
        detect_synthid_watermark([[1, 2]])


def test_the_verdict_is_that_of_p():
    assert Evidence(9, 0.5, 0.25, 2.0, 0.0009).is_marked()
    assert not Evidence(9, 0.5, 0.25, 2.0, 0.0009).is_marked(0.0009)


def test_what_transformers_generate_marked_is_found_here_and_the_reverse():
    from transformers import LlamaForCausalLM, SynthIDTextWatermarkingConfig, WatermarkingConfig

    from decodery import Decoder

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    ends = {"bos_token_id": V - 1, "eos_token_id": None, "pad_token_id": 0}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=V, **sizes, **ends)).eval()
    prompt = torch.tensor([[1, 2, 3]])
    settings = {
        "do_sample": True,
        "max_new_tokens": 60,
        "attention_mask": torch.ones_like(prompt),
        "top_k": 0,
    }
    for keys, config, detect in (
        ({}, WatermarkingConfig(bias=4.0), detect_watermark),
        (
            {"keys": KEYS, "ngram_len": 3},
            SynthIDTextWatermarkingConfig(keys=KEYS, ngram_len=3),
            detect_synthid_watermark,
        ),
    ):
        written = model.generate(prompt, watermarking_config=config, **settings)[:, 3:]
        assert detect(written, vocab_size=V, **keys)[0].p < 1e-4
        assert detect(model.generate(prompt, **settings)[:, 3:], vocab_size=V, **keys)[0].p > 1e-3
    recipe = {"recipe": 1, "strategy": {"sample": {"seed": 1}}, "processors": [{"watermark": {"bias": 4.0}}]}
    ours = Decoder(model, {**recipe, "stop": [{"max_new_tokens": 60}]}).generate(prompt).tokens
    assert _theirs(torch.tensor(ours), {}, ignore=True).prediction.all()
