"""transformers models: the very logits that their own `generate` sees, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers as hf
from adapters import connected
from hf_versions import FOUR, not_with_4
from torch import Tensor

from decodery import Decoder, Pipeline
from decodery.contracts.errors import InvalidInput, ModelError
from decodery.models.hf_caches import keeps_everything

SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
HYBRID = {
    **{name: size for name, size in SIZES.items() if name != "max_position_embeddings"},
    "attn_layer_period": 2,
    "attn_layer_offset": 1,
    "expert_layer_offset": 1,
    "num_experts": 2,
    "mamba_d_state": 4,
    "mamba_dt_rank": 4,
    **({"use_mamba_kernels": False} if FOUR else {}),  # without, it wants a CUDA device
}
MAKERS: dict[str, Callable[[], Any]] = {
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**SIZES)),
    "gpt2": lambda: hf.GPT2LMHeadModel(
        hf.GPT2Config(vocab_size=97, n_embd=32, n_layer=2, n_head=4, n_positions=64, eos_token_id=2)
    ),
    "qwen3": lambda: hf.Qwen3ForCausalLM(hf.Qwen3Config(**SIZES, head_dim=8)),
    # A sliding window shorter than the text, alibi without position ids, a recurrent state that is wrong
    # for several new tokens a call.
    "mistral": lambda: hf.MistralForCausalLM(hf.MistralConfig(**SIZES, sliding_window=6)),
    "bloom": lambda: hf.BloomForCausalLM(hf.BloomConfig(vocab_size=97, hidden_size=32, n_layer=2, n_head=4)),
    "jamba": lambda: hf.JambaForCausalLM(hf.JambaConfig(**HYBRID)),
    # Every other layer with a window; recurrent states alone.
    "gemma2": lambda: hf.Gemma2ForCausalLM(hf.Gemma2Config(**SIZES, head_dim=8, sliding_window=6)),
    "mamba": lambda: hf.MambaForCausalLM(
        hf.MambaConfig(vocab_size=97, hidden_size=16, num_hidden_layers=2, state_size=4, eos_token_id=2)
    ),
}
FORGETFUL = (
    hf.MistralForCausalLM | hf.JambaForCausalLM | hf.Gemma2ForCausalLM | hf.MambaForCausalLM
)  # fmt: skip
"""Their caches do not keep all tokens, so that none can be taken back."""
NEW = 6
_made: dict[str, Any] = {}


def made(name: str) -> Any:
    """One of `MAKERS`, made once, with random weights large enough for a wrong position or mask to show."""
    if name not in _made:
        torch.manual_seed(0)
        model = MAKERS[name]()
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.2)
        _made[name] = model.eval()
    return _made[name]


OWN_CACHES = ("jamba", "mamba")


@pytest.fixture(
    params=[pytest.param(name, marks=not_with_4["state"]) if name in OWN_CACHES else name for name in MAKERS]
)
def model(request: pytest.FixtureRequest) -> Any:
    return made(request.param)


def prompts(padded: bool) -> tuple[Tensor, Tensor]:
    """(3, 9) ids and mask; two rows left-padded with id 0 by four and one, or none."""
    ids = torch.randint(3, 97, (3, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    if padded:
        mask[0, :4] = mask[1, :1] = 0
    return ids.masked_fill(mask == 0, 0), mask


def generated(model: Any, ids: Tensor, mask: Tensor) -> tuple[Tensor, list[Tensor]]:
    """What `generate` chose, (3, NEW), and the raw logits it saw, NEW x (3, V)."""
    out = model.generate(
        ids, attention_mask=mask, max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False, pad_token_id=0,
        output_logits=True, return_dict_in_generate=True,
    )  # fmt: skip
    return out.sequences[:, ids.shape[1] :], list(out.logits)


@pytest.mark.parametrize("padded", [False, True])
def test_step_logits_equal_those_of_generate_bit_for_bit(model: Any, padded: bool) -> None:
    ids, mask = prompts(padded)
    new, expected = generated(model, ids, mask)
    session = connected(model)[0].open(3, 15)
    seen = [session.prefill(ids, mask if padded else None)]
    seen += [session.step(new[:, t : t + 1])[:, -1] for t in range(NEW - 1)]
    session.close()
    for step, (ours, theirs) in enumerate(zip(seen, expected, strict=True)):
        assert torch.equal(ours.float(), theirs), f"step {step}"


@pytest.mark.parametrize("padded", [False, True])
def test_the_model_is_called_with_what_generate_gives_it(model: Any, padded: bool) -> None:
    """Masked positions too, which no logit shows; a mask of ones is dropped, as generate drops it."""
    calls: list[dict[str, Any]] = []

    def record(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        keys = ("input_ids", "attention_mask", "position_ids", "logits_to_keep", "use_cache", "return_dict")
        calls.append({key: kwargs[key] for key in keys if kwargs.get(key) is not None})

    ids, mask = prompts(padded)
    decodable, _ = connected(model)  # which tries the model, the first time
    hook = model.register_forward_pre_hook(record, with_kwargs=True)
    new, _ = generated(model, ids, mask)
    theirs, calls = calls, []
    session = decodable.open(3, None)
    session.prefill(ids, mask)
    for t in range(NEW - 1):
        session.step(new[:, t : t + 1])
    session.close()
    hook.remove()
    later = padded and not isinstance(model, hf.MambaForCausalLM)
    assert ["attention_mask" in call for call in calls] == [padded] + [later] * (NEW - 1)
    if FOUR:  # it keeps a mask of ones, and has pads at position 1
        for call in theirs:
            seen = call["attention_mask"] if padded else call.pop("attention_mask")
            if "position_ids" in call:
                call["position_ids"].masked_fill_(seen[:, -call["input_ids"].shape[1] :] == 0, 0)
    torch.testing.assert_close(calls, theirs, rtol=0, atol=0)


def test_a_chunk_answers_for_every_position(model: Any) -> None:
    ids, mask = prompts(True)
    new, expected = generated(model, ids, mask)
    session = connected(model)[0].open(3, None)
    session.prefill(ids, mask)
    chunk = session.step(new[:, : NEW - 1])
    session.close()
    torch.testing.assert_close(chunk.float(), torch.stack(expected[1:], dim=1), atol=1e-4, rtol=1e-4)


def test_rows_are_reordered_repeated_and_dropped_with_their_padding(model: Any) -> None:
    ids, mask = prompts(True)
    new, expected = generated(model, ids, mask)
    session = connected(model)[0].open(3, None)
    session.prefill(ids, mask)
    session.step(new[:, :2])
    rows = torch.tensor([2, 0, 0, 1])
    session.select(rows)
    torch.testing.assert_close(
        session.step(new[rows, 2:3])[:, 0].float(), expected[3][rows], atol=1e-4, rtol=1e-4
    )
    session.select(torch.tensor([1]))
    torch.testing.assert_close(
        session.step(new[:1, 3:4])[:, 0].float(), expected[4][:1], atol=1e-4, rtol=1e-4
    )
    session.close()


def test_tokens_are_taken_back_where_the_cache_keeps_them_all(model: Any) -> None:
    ids, mask = prompts(True)
    new, expected = generated(model, ids, mask)
    decodable, _ = connected(model)
    session = decodable.open(3, None)
    session.prefill(ids, mask)
    session.step(new[:, :1])
    session.step((new[:, 1:4] + 11) % 97)  # a wrong guess
    kept = not isinstance(model, FORGETFUL)
    # Bloom takes no position ids, by which a token after a gap would know its place.
    able = "uniform" if isinstance(model, hf.BloomForCausalLM) else "ragged"
    assert decodable.facts.capabilities.rewind == (able if kept else "none")
    if kept:
        session.rewind(torch.tensor([3, 3, 3]))
        torch.testing.assert_close(session.step(new[:, 1:2])[:, 0].float(), expected[2], atol=1e-4, rtol=1e-4)
    else:
        with pytest.raises(ModelError, match="cannot take tokens back"):
            session.rewind(torch.tensor([3, 3, 3]))
    session.close()


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen3"])
@pytest.mark.parametrize("padded", [False, True])
def test_rows_may_be_taken_back_by_different_counts(name: str, padded: bool) -> None:
    """Any order of steps and rewinds, held against the whole of what each row has left."""
    model = made(name)
    ids, mask = prompts(padded)
    texts = [row[seen.bool()].tolist() for row, seen in zip(ids, mask, strict=True)]
    session = connected(model)[0].open(3, None)
    session.prefill(ids, mask)
    dice = torch.Generator().manual_seed(7)

    def fed(count: int) -> None:
        new = torch.randint(3, 97, (3, count), generator=dice)
        logits = session.step(new)[:, -1]
        for text, tokens in zip(texts, new.tolist(), strict=True):
            text.extend(tokens)
        for row, text in enumerate(texts):
            with torch.no_grad():
                truth = model(torch.tensor([text])).logits[0, -1]
            torch.testing.assert_close(logits[row], truth, atol=1e-4, rtol=1e-4)

    def taken(*counts: int) -> None:
        session.rewind(torch.tensor(counts))
        for row, count in enumerate(counts):
            texts[row] = texts[row][: len(texts[row]) - count]

    fed(4)
    taken(3, 0, 1)
    fed(1)
    taken(1, 2, 1)  # into what is hidden already
    taken(0, 1, 1)  # twice without a step between
    fed(3)
    session.select(torch.tensor([2, 0, 1]))
    texts = [texts[2], texts[0], texts[1]]
    taken(2, 2, 2)
    fed(2)
    session.close()


def test_what_every_row_takes_back_leaves_the_cache() -> None:
    model = made("llama")
    session: Any = connected(model)[0].open(3, None)
    session.prefill(prompts(False)[0])
    session.step(torch.full((3, 4), 9))
    session.rewind(torch.tensor([4, 2, 3]))
    assert session._cache.get_seq_length() == 11
    session.rewind(torch.tensor([0, 2, 1]))
    assert (session._cache.get_seq_length(), session._mask) == (9, None)
    session.close()


@pytest.mark.parametrize("name", ["llama", "gpt2", "mistral", "gemma2"])
@pytest.mark.parametrize("padded", [False, True])
def test_a_static_cache_gives_the_tokens_of_generate(name: str, padded: bool) -> None:
    model = made(name)
    ids, mask = prompts(padded)
    new, expected = generated(model, ids, mask)
    decodable, _ = connected(model, {"name": "hf", "cache": "static"})
    assert decodable.facts.capabilities.static
    session: Any = decodable.open(3, 15)
    # Before 5.24 static layers could not be cropped at all.
    # A window that moves would be followed by no graph: its layers hold every token, too.
    assert not any(session._cache.is_sliding)
    kept = getattr(session._cache, "is_croppable", False)
    assert decodable.facts.capabilities.rewind == ("uniform" if kept else "none")
    close = {"atol": 1e-4, "rtol": 1e-4}
    torch.testing.assert_close(session.prefill(ids, mask), expected[0], **close)
    places = [layer.keys.data_ptr() for layer in session._cache.layers]
    if kept:
        session.step((new[:, :3] + 11) % 97)  # a wrong guess
        session.rewind(torch.tensor([3, 3, 3]))
    for step in range(3):
        torch.testing.assert_close(session.step(new[:, step : step + 1])[:, 0], expected[step + 1], **close)
    rows = torch.tensor([2, 0, 1])
    session.select(rows)
    torch.testing.assert_close(session.step(new[rows, 3:4])[:, 0], expected[4][rows], **close)
    assert [layer.keys.data_ptr() for layer in session._cache.layers] == places
    session.select(torch.tensor([1]))
    torch.testing.assert_close(session.step(new[:1, 4:5])[:, 0], expected[5][:1], **close)
    session.close()


def test_a_static_cache_that_is_full_says_so() -> None:
    session = connected(made("llama"), {"name": "hf", "cache": "static"})[0].open(3, 10)
    session.prefill(prompts(False)[0])
    session.step(torch.full((3, 1), 9))
    with pytest.raises(ModelError, match="11 tokens exceed"):
        session.step(torch.full((3, 1), 9))
    session.close()
    # Bloom's alibi has no place for a cache's empty columns, and that is found out.
    with pytest.raises(ModelError, match=", but fails with it: RuntimeError"):
        connected(made("bloom"), {"name": "hf", "cache": "static"})
    decodable, _ = connected(made("bloom"), {"name": "hf", "cache": "static", "verify": False})
    with pytest.raises(ModelError, match="how long the text can be"):
        decodable.open(3, None)
    with pytest.raises(InvalidInput, match="cache = 'quantum'"):
        connected(MAKERS["llama"](), {"name": "hf", "cache": "quantum"})


def test_what_a_decoder_attends_to_goes_with_every_step_and_with_its_rows() -> None:
    torch.manual_seed(0)
    sizes = {"vocab_size": 97, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    model = hf.GPT2LMHeadModel(hf.GPT2Config(**sizes, add_cross_attention=True, initializer_range=0.3)).eval()
    ids, attended = prompts(False)[0], torch.randn(3, 5, 32)
    session = connected(model)[0].open(3, None)

    def truth(rows: list[int], length: int) -> Tensor:
        with torch.no_grad():
            whole = model(ids[rows, :length], encoder_hidden_states=attended[rows], use_cache=False)
        return whole.logits[:, -1]

    close = {"atol": 1e-4, "rtol": 1e-4}
    prefilled = session.prefill(ids[:, :5], encoder_hidden_states=attended)
    torch.testing.assert_close(prefilled, truth([0, 1, 2], 5), **close)
    torch.testing.assert_close(session.step(ids[:, 5:7])[:, -1], truth([0, 1, 2], 7), **close)
    rows = [2, 0, 0, 1]
    session.select(torch.tensor(rows))
    torch.testing.assert_close(session.step(ids[rows, 7:8])[:, -1], truth(rows, 8), **close)
    session.rewind(torch.tensor([1, 1, 1, 1]))
    torch.testing.assert_close(session.step(ids[rows, 7:8])[:, -1], truth(rows, 8), **close)
    session.close()


def test_facts_come_from_the_generation_config_first() -> None:
    config = hf.LlamaConfig(**{**SIZES, "eos_token_id": 5})
    model = hf.LlamaForCausalLM(config)
    model.generation_config.eos_token_id = [7, 8]
    model.generation_config.max_length = 20  # generate's default stop, no context
    facts = connected(model)[0].facts
    assert (facts.eos, facts.bos, facts.pad) == ((7, 8), 1, 0)
    assert (facts.vocab_size, facts.max_length) == (97, 64)
    model.generation_config.eos_token_id = None
    assert connected(model)[0].facts.eos == (5,)
    assert connected(model, max_length=10)[0].facts.max_length == 10


def test_models_without_a_limit_have_none() -> None:
    assert connected(MAKERS["bloom"]())[0].facts.max_length is None
    assert connected(MAKERS["gpt2"]())[0].facts.max_length == 64


def test_logits_keep_the_models_dtype_and_its_training_flag_returns() -> None:
    model = MAKERS["llama"]().bfloat16()
    model.train()
    session = connected(model)[0].open(3, None)
    assert not model.training
    logits = session.prefill(prompts(False)[0])
    session.close()
    assert logits.dtype == torch.bfloat16
    assert not logits.requires_grad
    assert model.training


def test_two_sessions_do_not_share_a_cache(model: Any) -> None:
    ids, mask = prompts(False)
    new, expected = generated(model, ids, mask)
    decodable, _ = connected(model)
    one, other = decodable.open(3, None), decodable.open(3, None)
    one.prefill(ids)
    other.prefill(ids.flip(0))
    assert torch.equal(one.step(new[:, :1])[:, 0].float(), expected[1])
    one.close()
    other.close()


@pytest.mark.parametrize("name", OWN_CACHES)
def test_models_with_a_state_give_the_tokens_of_generate_with_a_session_of_any_kind(name: str) -> None:
    ids, mask = prompts(False)
    model = made(name)
    new, _ = generated(model, ids, mask)
    assert connected(model)[1].adapter == ("stateless" if FOUR else "hf")
    pipe = Pipeline().add("min_new_tokens", NEW).stop("max_new_tokens", NEW)
    assert Decoder(model, pipe).generate(ids).tokens == new.tolist()


STRANGERS: dict[str, Callable[[], Any]] = {
    # Its state goes in and out under a name of its own.
    "rwkv": lambda: hf.RwkvForCausalLM(
        hf.RwkvConfig(vocab_size=97, hidden_size=16, num_hidden_layers=2, attention_hidden_size=16)
    ),
    # Its recurrent state stays in the module, where two sessions would share it.
    "recurrent_gemma": lambda: hf.RecurrentGemmaForCausalLM(
        hf.RecurrentGemmaConfig(
            **{**SIZES, "num_hidden_layers": 3}, lru_width=32, attention_window_size=6, head_dim=8
        )
    ),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_a_model_whose_state_is_no_cache_argument_is_driven_without_it(name: str) -> None:
    model = STRANGERS[name]().eval()
    decodable, report = connected(model)
    assert report.adapter == "stateless"
    ids, _ = prompts(False)
    with torch.no_grad():
        expected = model(ids, use_cache=False).logits[:, -2:]
    one, other = decodable.open(3, None), decodable.open(3, None)
    torch.testing.assert_close(one.prefill(ids[:, :-1]), expected[:, 0], atol=1e-5, rtol=1e-4)
    other.prefill(ids.flip(0))
    torch.testing.assert_close(one.step(ids[:, -1:])[:, 0], expected[:, 1], atol=1e-5, rtol=1e-4)
    one.close()
    other.close()


def test_a_cache_that_does_not_say_whether_it_can_be_cut_is_asked_layer_by_layer() -> None:
    """Before 5 caches do not say, and a static layer has no way to take a token back."""

    for layer, held in ((SimpleNamespace(crop=None), True), (SimpleNamespace(), False)):
        cache = SimpleNamespace(is_sliding=[False], layers=[SimpleNamespace(crop=None), layer])
        assert keeps_everything(cache) == held
        assert keeps_everything(SimpleNamespace(is_sliding=[False], self_attention_cache=cache)) == held
