"""The traps that transformers' processors and criteria set: one test each, failing when the trap is sprung."""

from __future__ import annotations

import inspect
import time
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.generation import logits_process as hf
from transformers.generation import stopping_criteria as hf_stop

from decodery import Decoder, Pipeline
from decodery.contracts.errors import InvalidInput, PluginError
from decodery.contracts.params import param_values
from decodery.contracts.specs import resolve
from decodery.contracts.steps import fill
from decodery.host.registry import Host
from decodery.testing import ScriptedModel, TableModel

V, EOS = 30, 2
CPU = torch.device("cpu")


def table(pipe: Pipeline, vocab: int = V, **facts: Any) -> Decoder:
    return Decoder(TableModel(vocab), pipe, vocab_size=vocab, **facts)


@pytest.fixture(scope="module")
def gpt2() -> Any:
    torch.manual_seed(3)
    config = GPT2Config(
        n_layer=2,
        n_head=2,
        n_embd=32,
        vocab_size=V,
        n_positions=64,
        initializer_range=0.5,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    return GPT2LMHeadModel(config).eval()


# -- fresh objects in every run ---------------------------------------------------------------------------------


def _synthid() -> Any:
    return hf.SynthIDTextWatermarkLogitsProcessor(
        ngram_len=3,
        keys=[1, 2],
        sampling_table_size=64,
        sampling_table_seed=0,
        context_history_size=8,
        device=CPU,
    )


@pytest.mark.parametrize(
    "step",
    [
        lambda pipe: pipe.add(_synthid()),
        lambda pipe: pipe.add("synthid_watermark", keys=[1, 2], ngram_len=3),
        lambda pipe: pipe.add(hf.SequenceBiasLogitsProcessor([[[3], 4.0], [[1, 5], 9.0]])),
        lambda pipe: pipe.add("sequence_bias", [[[3], 4.0], [[1, 5], 9.0]]),
        lambda pipe: pipe.add("watermark"),
        lambda pipe: pipe.add("dia_eos_delay_pattern", [1], eos_token_id=5),
    ],
    ids=["synthid object", "synthid", "bias object", "bias", "watermark", "dia"],
)
def test_a_second_run_begins_afresh_with_another_batch_and_vocabulary(step: Any) -> None:
    pipe = step(Pipeline()).stop("max_new_tokens", 8)
    first = table(pipe).generate([[1, 2], [3, 4]]).tokens
    table(pipe, 2 * V).generate([[1], [2], [3]])
    assert table(pipe).generate([[1, 2], [3, 4]]).tokens == first


def test_an_object_that_was_added_is_never_touched() -> None:
    processor = _synthid()
    table(Pipeline().add(processor)).generate([[1, 2]], max_new_tokens=4)
    assert processor.state is None


def test_guidance_keeps_its_cache_for_one_run_only(gpt2: Any) -> None:
    pipe = Pipeline().add(hf.UnbatchedClassifierFreeGuidanceLogitsProcessor(1.7, gpt2))
    first, second = (Decoder(gpt2, pipe).generate([[5, 6, 7]], max_new_tokens=6).tokens for _ in "ab")
    assert first == second
    assert first != Decoder(gpt2).generate([[5, 6, 7]], max_new_tokens=6).tokens


@pytest.mark.parametrize(
    "rule",
    [
        lambda pipe: pipe.stop("max_time", 30),
        lambda pipe: pipe.stop(hf_stop.MaxTimeCriteria, max_time=30),
    ],
    ids=["max_time", "the class of transformers"],
)
def test_a_clock_starts_with_its_run_and_not_with_the_pipeline(rule: Any, monkeypatch: Any) -> None:
    pipe = rule(Pipeline()).stop("max_new_tokens", 3)
    later = time.time() + 1000, time.monotonic() + 1000
    monkeypatch.setattr(time, "time", lambda: later[0])
    monkeypatch.setattr(time, "monotonic", lambda: later[1])
    assert table(pipe).generate([[1]]).finish_reasons == ["length"]


# -- what a processor is shown ----------------------------------------------------------------------------------


class Shown:
    """Keeps what it was shown; writes into it all the same."""

    seen: list[tuple[Tensor, Tensor]] = []  # noqa: RUF012

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self.seen.append((input_ids.clone(), scores.clone()))
        scores[:, 0] = 99.0
        return scores


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("compat", [None, "hf"])
def test_scores_are_float32_before_the_first_step(dtype: torch.dtype, compat: Any) -> None:
    Shown.seen = []
    pipe = Pipeline().add(Shown).compat(compat)
    script = torch.randn(3, V, generator=torch.Generator().manual_seed(0)).to(dtype)
    Decoder(ScriptedModel(script), pipe, vocab_size=V).generate([[1]], max_new_tokens=1)
    wanted = torch.float64 if dtype == torch.float64 else torch.float32
    assert Shown.seen[0][1].dtype == wanted
    # Made so before and not after: a temperature in bfloat16 would round.
    cooled = Pipeline().add("temperature", 0.7)(torch.tensor([[1]]), script[:1])
    assert torch.equal(cooled, script[:1].to(wanted) / 0.7)


@pytest.mark.parametrize("compat", [None, "hf"])
def test_the_callers_logits_stay_as_they_were(compat: Any) -> None:
    logits = torch.randn(2, V, generator=torch.Generator().manual_seed(0))
    before, ids = logits.clone(), torch.tensor([[1], [2]])
    pipes = [
        Pipeline().add(Shown()),
        Pipeline().add(hf.DiaEOSChannelFilterLogitsProcessor(2, 5), stateless=True),
        Pipeline().add("dia_eos_channel_filter", 2, eos_token_id=5),
    ]
    for pipe in pipes:
        bound = pipe.compat(compat).bind(ids, eos_token_id=5, vocab_size=V)
        if compat is None and pipe is pipes[1]:
            continue  # a layout of channels needs all rows in one call
        assert not torch.equal(bound(ids, logits), before)
        assert torch.equal(logits, before)
    model = ScriptedModel(logits)
    Decoder(model, pipes[0], vocab_size=V).generate([[1]], max_new_tokens=2)
    assert torch.equal(model.script, before)


def test_idle_steps_give_back_the_very_tensor() -> None:
    logits, ids = torch.randn(2, V), torch.tensor([[1], [2]])
    pipe = Pipeline().add("temperature", 1).add("top_k", 0).add("top_p", 1.0).add("repetition_penalty", 1)
    assert pipe(ids, logits).data_ptr() == logits.data_ptr()
    bound = pipe.add("min_new_tokens", 0).add("min_length", 0).bind(ids, eos_token_id=EOS)
    assert bound(ids, logits).data_ptr() == logits.data_ptr()


def test_ids_are_int64_whatever_the_caller_has() -> None:
    Shown.seen = []
    decoder = table(Pipeline().add(Shown))
    for prompts in (torch.tensor([[1, 2]], dtype=torch.int32), torch.tensor([1, 2], dtype=torch.uint8)):
        decoder.generate(prompts, max_new_tokens=2)
    Pipeline().add(Shown())(torch.tensor([[1]], dtype=torch.int16), torch.zeros(1, V))
    assert len(Shown.seen) == 5
    assert {ids.dtype for ids, _ in Shown.seen} == {torch.int64}


# -- ids ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "values"),
    [
        ("suppress_tokens", {"ids": [4, V, V + 7]}),
        ("begin_suppress_tokens", {"ids": [4, V, V + 7]}),
        ("bad_words", {"ids": [[4, V], [V + 7]]}),
        ("sequence_bias", {"pairs": [[[V, 1], 1.0], [[V + 7], 2.0]]}),
        ("forced_eos", {"token_ids": [V, V + 7]}),
        ("prefix_allowed_tokens", {"fn": lambda prompt, ids: [1, V, V + 7]}),
    ],
)
def test_ids_outside_the_vocabulary_are_named(step: str, values: Any) -> None:
    pipe = Pipeline().add(step, **values)
    with pytest.raises(InvalidInput, match=rf"{step}.*\[{V}, {V + 7}\].*vocabulary of {V}"):
        table(pipe.stop("max_new_tokens", 3)).generate([[1]])


def test_a_forced_token_outside_the_vocabulary_is_named() -> None:
    with pytest.raises(InvalidInput, match=rf"forced_bos.*\[{V}\].*vocabulary of {V}"):
        table(Pipeline().add("forced_bos", V)).generate([[1]])


def test_an_end_outside_the_vocabulary_is_named_before_the_model_is_asked() -> None:
    class Counting(ScriptedModel):
        calls = 0

        def __call__(self, x: Tensor) -> Tensor:
            self.calls += 1
            return super().__call__(x)

    model = Counting(torch.zeros(1, V))
    decoder = Decoder(model, Pipeline().stop("stop_token_ids", [4, V, V + 7]), vocab_size=V)
    before = model.calls
    with pytest.raises(InvalidInput, match=rf"stop_token_ids.*\[{V}, {V + 7}\].*vocabulary of {V}"):
        decoder.generate([[1]])
    assert model.calls == before
    with pytest.raises(InvalidInput, match=rf"eos_token_id.*{V + 7}.*{V}"):
        Decoder(model, vocab_size=V, eos_token_id=V + 7)


def test_an_end_outside_the_vocabulary_is_named_at_bind() -> None:
    pipe = Pipeline().stop("stop_token_ids", [4, V]).stop("stop_strings", ["x"])
    with pytest.raises(InvalidInput, match=rf"stop_token_ids.*\[{V}\].*vocabulary of {V}"):
        pipe.bind(torch.tensor([[1]]), vocab_size=V)
    pipe.bind(torch.tensor([[1]]))  # the first scores will tell


def test_the_pad_id_0_is_a_real_id() -> None:
    """Prompts that hold it, and rows that generate it, lose nothing to it."""
    script = torch.zeros(4, V)
    script[:, 0] = 9.0
    decoder = Decoder(ScriptedModel(script), vocab_size=V, pad_token_id=0)
    gen = decoder.generate([[0, 0, 7], [7]], max_new_tokens=3)
    assert gen.tokens == [[0, 0, 0]] * 2
    pipe = Pipeline().add("no_repeat_ngram", 1).stop("max_new_tokens", 2)
    assert (
        Decoder(ScriptedModel(script), pipe, vocab_size=V, pad_token_id=0).generate([[0, 7]]).tokens[0][0]
        != 0
    )


def test_a_pad_that_ends_texts_is_warned_of_where_it_is_shown_to_steps(gpt2: Any) -> None:
    def run(prompts: list[list[int]], pad: int | None, compat: Any = "hf") -> Any:
        pipe = Pipeline().compat(compat).add("no_repeat_ngram", 2)
        return Decoder(gpt2, pipe, eos_token_id=[EOS, 9], pad_token_id=pad).generate(
            prompts, max_new_tokens=2
        )

    for pad in (9, EOS):
        with pytest.warns(UserWarning, match=f"padded with {pad}, which also ends a text"):
            run([[1, 3], [4]], pad)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run([[1, 3], [4]], 0)
        run([[1, 3], [4, 5]], EOS)  # nothing is padded
        run([[1, 3], [4]], EOS, compat=None)  # steps never see padding


@pytest.mark.parametrize("tells", ["eos", hf_stop.EosTokenCriteria(29), None], ids=["rule", "object", "none"])
def test_finished_rows_are_padded_only_where_a_criterion_knows_eos(tells: Any, gpt2: Any) -> None:
    knows_eos = tells is not None

    class Third(hf_stop.StoppingCriteria):
        """Ends the first row after its third token; the others go on."""

        def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
            done = torch.zeros(len(input_ids), dtype=torch.bool)
            done[0] = input_ids.shape[1] >= 5
            return done

    prompts = torch.tensor([[5, 6], [7, 8]])
    eos = 29 if knows_eos else None
    theirs = gpt2.generate(
        prompts,
        attention_mask=torch.ones_like(prompts),
        do_sample=False,
        max_new_tokens=7,
        eos_token_id=eos,
        pad_token_id=0,
        stopping_criteria=hf_stop.StoppingCriteriaList([Third()]),
    )
    pads: list[int] = []

    class Watching:
        wants = frozenset({"tokens"})

        def on_tokens(self, tokens: Tensor, active: Tensor, reasons: Any) -> None:
            pads.append(int(tokens[0]))

    pipe = Pipeline().compat("hf").stop(Third()).stop("max_new_tokens", 7)
    pipe = pipe.stop(tells) if knows_eos else pipe
    Decoder(gpt2, pipe, eos_token_id=eos, pad_token_id=0).generate(prompts, observers=[Watching()])
    assert pads == theirs[0, 2:].tolist()
    assert (set(pads[3:]) == {0}) is knows_eos


# -- how it is called ---------------------------------------------------------------------------------------------


def test_extra_arguments_are_looked_into_once_and_at_bind(monkeypatch: Any) -> None:
    class Wants:
        def __call__(self, input_ids: Tensor, scores: Tensor, beam_group: int) -> Tensor:
            return scores

    with pytest.raises(
        PluginError, match=r"'wants' cannot be called .*missing a required argument: 'beam_group'"
    ):
        Pipeline().add(Wants).bind(torch.tensor([[1]]))
    asked = []
    real = inspect.signature
    monkeypatch.setattr(
        inspect, "signature", lambda target, **more: asked.append(target) or real(target, **more)
    )
    pipe = Pipeline().add(lambda ids, scores, beam_group=0: scores).stop("max_new_tokens", 6)
    table(pipe).generate([[1], [2]])
    first = len(asked)
    table(pipe).generate([[1], [2]], max_new_tokens=20)
    assert len(asked) == 2 * first, "as often for 6 tokens as for 20"


@pytest.mark.parametrize("compat", [None, "hf"])
def test_true_from_a_criterion_answers_for_every_row(compat: Any) -> None:
    pipe = Pipeline().compat(compat).stop(lambda ids, scores: ids.shape[1] >= 4).stop("max_new_tokens", 9)
    gen = table(pipe).generate([[1, 2], [3, 4], [5, 6]])
    assert [len(tokens) for tokens in gen.tokens] == [2, 2, 2]
    assert gen.finish_reasons == ["lambda"] * 3


def test_confidence_looks_at_each_row_where_transformers_looks_at_the_first() -> None:
    """Its criterion answers True for all rows when the first is in doubt."""
    scores = torch.tensor([[0.0] * V, [9.0] + [0.0] * (V - 1)])
    ids = torch.tensor([[1, 0], [1, 0]])
    assert hf_stop.ConfidenceCriteria(0.5)(ids, (scores,)) is True
    bound = Pipeline().stop("confidence", 0.5).bind(ids[:, :1], vocab_size=V)
    assert bound.stopped(ids, scores).tolist() == [True, False]


# -- what is fixed when they are built --------------------------------------------------------------------------


def test_a_pipeline_fixes_no_batch_and_no_vocabulary() -> None:
    """One unbound pipeline for all: transformers' bias, watermark and Dia would keep what they met first."""
    pipe = Pipeline().add("sequence_bias", [[[3], 4.0]]).add("watermark").add("suppress_tokens", [1])
    for batch, vocab in ((1, V), (3, V), (2, 50), (1, V)):
        ids, logits = torch.ones(batch, 2, dtype=torch.int64), torch.zeros(batch, vocab)
        bias = hf.SequenceBiasLogitsProcessor([[[3], 4.0]])(ids, logits)
        marked = hf.WatermarkLogitsProcessor(vocab, "cpu")(ids, bias)
        assert torch.equal(pipe(ids, logits), hf.SuppressTokensLogitsProcessor([1])(ids, marked))


ON_META = {
    "sequence_bias": {"pairs": [[[3], 4.0], [[1, 5], 9.0]]},
    "suppress_tokens": {"ids": [1]},
    "forced_bos": {"token_id": 3},
    "eta_cutoff": {"epsilon": 0.1},
    "top_h": {"h": 0.5},
    "no_repeat_ngram": {"ngram_size": 2},
    "repetition_penalty": {"penalty": 1.2, "slope": 0.5},
}


@pytest.mark.parametrize("step", ON_META)
def test_a_step_works_where_the_scores_are(step: str) -> None:
    """Built on one device and called on another: tensors on `meta` refuse to meet those of the CPU."""
    spec = Host("").step(step)[1]
    facts = dict.fromkeys(spec.needs)  # padding alone, of which there is none
    moved = resolve(spec.factory, step)(**param_values(fill(spec, ON_META[step])), **facts)
    moved(torch.tensor([[1, 2]]), torch.zeros(1, V))
    got = moved(torch.ones(1, 3, dtype=torch.int64, device="meta"), torch.zeros(1, V, device="meta"))
    assert got.device.type == "meta"
