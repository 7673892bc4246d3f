"""Import, export, import is the same recipe, whatever the file; and what is called exact, exporting calls exact."""

from __future__ import annotations

import json
import shlex

from hypothesis import given, settings
from hypothesis import strategies as st
from samplers_for_presets import ALONE, TOGETHER

from decodery.recipe import foreign
from decodery.recipe.recipe import Recipe

hosts = st.sampled_from([ALONE, TOGETHER])
shares = st.floats(0.01, 1).map(lambda x: round(x, 6)) | st.just(1.0) | st.sampled_from([1, 1e-5])
temperatures = st.floats(0.05, 2).map(lambda x: round(x, 6)) | st.sampled_from([0, 1, 1.0, 2])
penalties = st.floats(-2, 2).map(lambda x: round(x, 6)) | st.just(0)
ratios = st.floats(0.5, 2).map(lambda x: round(x, 6)) | st.just(1)
ids = st.lists(st.integers(0, 10**6), max_size=3)
counts = st.integers(1, 10**6)
letters = st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp", "Cn"])
texts = st.lists(st.text(letters, min_size=1, max_size=6), max_size=3)
numbers = st.floats(-100, 100).map(lambda x: round(x, 3))
biases = st.dictionaries(st.integers(0, 10**5).map(str), numbers, max_size=3)

openai = st.fixed_dictionaries(
    {},
    optional={
        "temperature": temperatures, "top_p": shares, "seed": st.integers(-(2**31), 2**64), "n": counts,
        "max_tokens": counts, "max_completion_tokens": counts, "stop": texts.map(lambda t: t[:4]) | st.just("###"),
        "presence_penalty": penalties, "frequency_penalty": penalties, "logit_bias": biases,
        "prompt": st.just("x"), "logprobs": st.booleans(), "strange": st.none() | st.integers(),
    },
)  # fmt: skip
vllm = st.fixed_dictionaries(
    {},
    optional={
        "temperature": temperatures, "top_p": shares, "top_k": st.integers(-1, 100), "min_p": shares,
        "repetition_penalty": ratios, "presence_penalty": penalties, "frequency_penalty": penalties,
        "seed": st.integers(0, 2**63), "stop": texts, "stop_token_ids": ids, "ignore_eos": st.booleans(),
        "max_tokens": st.none() | counts, "min_tokens": st.integers(0, 50), "logit_bias": biases,
        "allowed_token_ids": ids, "include_stop_str_in_output": st.booleans(), "messages": st.just([]),
        "bad_words": texts, "n": counts,
    },
)  # fmt: skip
hf = st.fixed_dictionaries(
    {},
    optional={
        "do_sample": st.booleans(), "temperature": temperatures.filter(bool), "top_k": st.integers(0, 100),
        "top_p": shares, "min_p": shares, "typical_p": shares, "epsilon_cutoff": st.floats(0, 0.5),
        "eta_cutoff": st.floats(0, 0.5), "repetition_penalty": ratios, "no_repeat_ngram_size": st.integers(0, 5),
        "bad_words_ids": st.lists(ids.filter(bool), max_size=3), "min_new_tokens": st.integers(0, 9),
        "sequence_bias": st.lists(st.tuples(ids.filter(bool), penalties), max_size=3), "min_length": st.integers(0, 9),
        "max_new_tokens": counts, "max_length": counts, "max_time": st.floats(0.1, 100),
        "stop_strings": texts.filter(bool),
        "suppress_tokens": ids, "begin_suppress_tokens": ids, "forced_bos_token_id": st.integers(0, 99),
        "forced_eos_token_id": ids.filter(bool), "renormalize_logits": st.booleans(), "eos_token_id": ids,
        "exponential_decay_length_penalty": st.tuples(st.integers(0, 9), st.floats(1, 2)),
        "remove_invalid_values": st.booleans(), "watermarking_config": st.just({"bias": 2.5}), "top_h": shares,
        "num_beams": st.integers(1, 4), "num_return_sequences": st.integers(1, 2), "guidance_scale": ratios,
    },
)  # fmt: skip
NUMBERS = {
    "--temp": temperatures, "--top-k": st.integers(-1, 100), "--top-p": shares, "--min-p": shares,
    "--typical": shares, "--top-n-sigma": st.sampled_from([-1.0, 0, 1.5]), "--xtc-probability": shares,
    "--xtc-threshold": shares, "--repeat-penalty": ratios, "--repeat-last-n": st.integers(-1, 99),
    "--presence-penalty": penalties, "--frequency-penalty": penalties, "--dry-multiplier": shares | st.just(0),
    "--dry-base": ratios, "--dry-allowed-length": st.integers(1, 9), "--dry-penalty-last-n": st.integers(-1, 99),
    "--dynatemp-range": st.sampled_from([0, 0.01]), "--dynatemp-exp": ratios,
    "--mirostat": st.sampled_from([0, 0, 1, 2]),
    "--mirostat-ent": ratios, "--mirostat-lr": ratios, "-n": counts | st.just(-1), "-s": st.integers(-1, 2**32 - 1),
    "--adaptive-target": shares,
}  # fmt: skip
samplers = st.permutations(
    [
        "penalties",
        "dry",
        "top_n_sigma",
        "top_k",
        "typ_p",
        "top_p",
        "min_p",
        "xtc",
        "temperature",
        "adaptive_p",
    ]
).flatmap(lambda names: st.integers(0, 10).map(lambda count: ";".join(names[:count])))


@st.composite
def command_lines(draw: st.DrawFn) -> str:
    words = [
        f"{flag} {draw(NUMBERS[flag])}"
        for flag in draw(st.lists(st.sampled_from(sorted(NUMBERS)), max_size=8))
    ]
    if draw(st.booleans()):
        words.append(f"--samplers {shlex.quote(draw(samplers))}")
    words += [f"-r {shlex.quote(text)}" for text in draw(texts)]
    words += [f"-l {token}{bias:+}" for token, bias in draw(biases).items()]
    words += draw(st.lists(st.sampled_from(["--ignore-eos", "--no-escape", "--mlock"]), max_size=2))
    return " ".join(draw(st.permutations(words)))


def again(first: Recipe, form: str, host: object) -> None:
    written = foreign.dumps(first, form)
    second = foreign.loads(written.text, form, host=host).recipe  # type: ignore[arg-type]
    assert second == first
    assert foreign.dumps(second, form) == written
    assert Recipe.loads(first.to_yaml(), host=host) == first  # type: ignore[arg-type]


@given(openai, hosts)
@settings(max_examples=80, deadline=None)
def test_openai(data: dict[str, object], host: object) -> None:
    again(foreign.loads(json.dumps(data), "openai", host=host).recipe, "openai", host)  # type: ignore[arg-type]


@given(vllm, hosts)
@settings(max_examples=80, deadline=None)
def test_vllm(data: dict[str, object], host: object) -> None:
    again(foreign.loads(json.dumps(data), "vllm", host=host).recipe, "vllm", host)  # type: ignore[arg-type]


@given(hf)
@settings(max_examples=80, deadline=None)
def test_hf(data: dict[str, object]) -> None:
    again(foreign.loads(json.dumps(data), "hf", host=ALONE).recipe, "hf", ALONE)


@given(command_lines(), hosts)
@settings(max_examples=150, deadline=None)
def test_llama_cpp(line: str, host: object) -> None:
    again(foreign.loads(line, "llama.cpp", host=host).recipe, "llama.cpp", host)  # type: ignore[arg-type]


@given(
    st.sampled_from([("openai", openai), ("vllm", vllm), ("hf", hf)]).flatmap(
        lambda f: st.tuples(st.just(f[0]), f[1])
    )
)
@settings(max_examples=80, deadline=None)
def test_no_key_is_dropped_in_silence(case: tuple[str, dict[str, object]]) -> None:
    form, data = case
    found = foreign.loads(json.dumps(data), form, host=ALONE)
    told = {line.key for line in found.carried}
    assert {key for key, value in data.items() if value is not None} <= told
    assert all(line.note for line in found.carried if line.status != "exact")
