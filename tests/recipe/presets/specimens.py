"""Foreign files as people write them, by hand, and the recipes that they are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Specimen:
    """`lossless` names the keys that come over exactly; every other key of `keys` is approximated or dropped."""

    form: str
    text: str
    recipe: str
    keys: frozenset[str]
    lossless: frozenset[str]


def specimen(form: str, text: str, recipe: str, exact: str, otherwise: str = "") -> Specimen:
    lossless = frozenset(exact.split())
    return Specimen(form, text, recipe, lossless | frozenset(otherwise.split()), lossless)


SPECIMENS = {
    "llama.cpp: nothing said": specimen(
        "llama.cpp",
        "llama-cli -m model.gguf",
        """\
recipe: 1
strategy: sample
processors:
  - top_k: {k: 40, ties: cut}
  - top_p: 0.95
  - min_p: 0.05
  - temperature: 0.8
stop:
  - eos
""",
        "llama-cli --top-k --top-p --min-p --temp",
        "--model",
    ),
    "llama.cpp: a story": specimen(
        "llama.cpp",
        r"""
# what we used in spring
./build/bin/llama-cli -m story.gguf -n 256 --temp 1.1 --top_k 0 --top-p 1.0 --min-p 0.02 \
    --repeat-penalty 1.05 --repeat-last-n 256 --dry-multiplier 0.8 --dry-allowed-length 3 \
    --dry-sequence-breaker '\n' --dry-sequence-breaker '"' -s 7 -r 'THE END' -l 2-0.5 -l 15+1
""",
        """\
recipe: 1
strategy: {sample: {seed: 7}}
processors:
  - sequence_bias: [[[2], -0.5], [[15], 1.0]]
  - repetition_penalty: {penalty: 1.05, window: 256}
  - decodery-samplers/dry: {multiplier: 0.8, allowed_length: 3, window: 64, breakers: ["\\n", "\\""]}
  - min_p: 0.02
  - temperature: 1.1
stop:
  - eos
  - max_new_tokens: 256
  - stop_strings: [THE END]
""",
        """./build/bin/llama-cli --n-predict --temp --top-k --top-p --min-p --repeat-penalty --repeat-last-n
        --dry-multiplier --dry-allowed-length --dry-sequence-breaker --reverse-prompt --logit-bias""",
        "--model --seed",
    ),
    "llama.cpp: an order of its own": specimen(
        "llama.cpp",
        "llama-server --samplers 'temp;top-k;nucleus' --temp 0.6 --top-k 20 --top-p 0.9 --min-p 0.3 -c 4096",
        """\
recipe: 1
strategy: sample
processors:
  - temperature: 0.6
  - top_k: {k: 20, ties: cut}
  - top_p: 0.9
stop:
  - eos
""",
        "llama-server --samplers --temp --top-k --top-p --min-p",
        "-c",
    ),
    "llama.cpp: mirostat takes the chain's place": specimen(
        "llama.cpp",
        "--mirostat 2 --mirostat-ent 4 --temp 0.9 --top-k 50 --ignore-eos -n 100",
        """\
recipe: 1
strategy: sample
processors:
  - min_new_tokens: 100
  - temperature: 0.9
  - decodery-samplers/mirostat: {tau: 4.0}
stop:
  - max_new_tokens: 100
""",
        "--mirostat --mirostat-ent --temp --top-k --ignore-eos --n-predict",
    ),
    "OpenAI: a chat": specimen(
        "openai",
        """{
  "model": "some-model",
  "messages": [{"role": "user", "content": "Tell me a story."}],
  "temperature": 0.7,
  "top_p": 0.9,
  "max_completion_tokens": 200,
  "stop": ["\\n\\n", "User:"],
  "presence_penalty": 0.5,
  "logit_bias": {"50256": -100, "11": 1.5},
  "seed": 11,
  "n": 3
}""",
        """\
recipe: 1
strategy: {sample: {seed: 11}}
processors:
  - sequence_bias: [[[50256], -100.0], [[11], 1.5]]
  - decodery-samplers/presence_penalty: {penalty: 0.5, scope: output}
  - temperature: 0.7
  - top_p: 0.9
stop:
  - eos
  - max_new_tokens: 200
  - stop_strings: ["\\n\\n", "User:"]
""",
        "temperature max_completion_tokens stop presence_penalty logit_bias",
        "model messages top_p seed n",
    ),
    "OpenAI: a completion at temperature 0": specimen(
        "openai",
        '{"model": "m", "prompt": "2 + 2 =", "temperature": 0, "top_p": 0.5, "seed": 3, "frequency_penalty": 0}',
        """\
recipe: 1
strategy: greedy
stop:
  - eos
  - max_new_tokens: 16
""",
        "temperature top_p seed frequency_penalty max_tokens",
        "model prompt",
    ),
    "vLLM: SamplingParams": specimen(
        "vllm",
        """{
  "temperature": 0.8, "top_p": 0.95, "top_k": 50, "min_p": 0.02,
  "repetition_penalty": 1.1, "presence_penalty": 0.2, "frequency_penalty": 0.3,
  "min_tokens": 8, "max_tokens": 128, "stop": "###", "include_stop_str_in_output": true,
  "allowed_token_ids": [1, 2, 3], "bad_words": ["sorry"], "skip_special_tokens": false
}""",
        """\
recipe: 1
strategy: sample
processors:
  - decodery-samplers/allowed_tokens: [1, 2, 3]
  - min_new_tokens: 8
  - repetition_penalty: 1.1
  - decodery-samplers/presence_penalty: {penalty: 0.2, scope: output}
  - decodery-samplers/frequency_penalty: {penalty: 0.3, scope: output}
  - temperature: 0.8
  - min_p: 0.02
  - top_k: 50
  - top_p: 0.95
stop:
  - eos
  - max_new_tokens: 128
  - stop_strings: ["###"]
include_stop: true
""",
        """temperature top_p top_k min_p repetition_penalty presence_penalty frequency_penalty min_tokens max_tokens
        stop include_stop_str_in_output allowed_token_ids""",
        "bad_words skip_special_tokens",
    ),
    "vLLM: a chat request": specimen(
        "vllm",
        """{
  "model": "m", "messages": [], "temperature": 0.003,
  "extra_body": {"top_k": -1, "min_tokens": 2, "stop_token_ids": [5, 6], "ignore_eos": true}
}""",
        """\
recipe: 1
strategy: sample
processors:
  - min_new_tokens: 2
  - temperature: 0.01
stop:
  - stop_token_ids: [5, 6]
""",
        "top_k stop_token_ids ignore_eos temperature",
        "model messages min_tokens",
    ),
    "text-generation-webui: cutoffs in its own unit": specimen(
        "tgw",
        """\
temperature: 1.31
top_p: 0.14
epsilon_cutoff: 1.49
eta_cutoff: 10.42
repetition_penalty: 1.17
top_k: 49
repetition_penalty_range: 0
guidance_scale: 1
""",
        """\
recipe: 1
strategy: sample
processors:
  - repetition_penalty: 1.17
  - temperature: 1.31
  - top_k: 49
  - top_p: 0.14
  - epsilon_cutoff: 0.000149
  - eta_cutoff: 0.001042
stop:
  - eos
  - max_new_tokens: 512
""",
        """temperature top_p epsilon_cutoff eta_cutoff repetition_penalty top_k repetition_penalty_range guidance_scale
        max_new_tokens""",
    ),
    "text-generation-webui: temperature last": specimen(
        "tgw",
        """\
temperature_last: true
temperature: 1.5
min_p: 0.05
smoothing_factor: 0.2
dynamic_temperature: true
dynatemp_low: 0.5
dynatemp_high: 1.7
tfs: 0.95
no_repeat_ngram_size: 3
do_sample: true
seed: -1
grammar_string: 'root ::= "yes"'
""",
        """\
recipe: 1
strategy: sample
processors:
  - decodery-samplers/tail_free: 0.95
  - min_p: 0.05
  - no_repeat_ngram: 3
  - temperature: 1.5
  - decodery-samplers/dynamic_temperature: {temperature: 1.1, range: 0.6}
  - decodery-samplers/quadratic: 0.2
stop:
  - eos
  - max_new_tokens: 512
""",
        """temperature_last temperature min_p smoothing_factor dynamic_temperature dynatemp_low dynatemp_high tfs
        no_repeat_ngram_size do_sample seed max_new_tokens""",
        "grammar_string",
    ),
    "Hugging Face: a chat model": specimen(
        "hf",
        """{
  "bos_token_id": 128000,
  "do_sample": true,
  "eos_token_id": [128001, 128008, 128009],
  "temperature": 0.6,
  "top_p": 0.9,
  "transformers_version": "4.42.3"
}""",
        """\
recipe: 1
compat: hf
strategy: sample
processors:
  - temperature: 0.6
  - top_k: 50
  - top_p: 0.9
stop:
  - eos
  - max_new_tokens: 20
""",
        "do_sample temperature top_p top_k max_new_tokens transformers_version",
        "bos_token_id eos_token_id",
    ),
    "Hugging Face: greedy with what greedy ignores": specimen(
        "hf",
        """{
  "do_sample": false, "temperature": 0.3, "top_k": null, "num_beams": 1, "num_return_sequences": 1,
  "repetition_penalty": 1.2, "no_repeat_ngram_size": 3, "bad_words_ids": [[5], [6, 7]],
  "sequence_bias": [[[8, 9], -2.5]], "max_length": 64, "max_new_tokens": 30, "min_new_tokens": 4, "min_length": 9,
  "stop_strings": ["\\n\\n"], "max_time": 2.5, "pad_token_id": 0, "use_cache": true, "guidance_scale": 1.5,
  "length_penalty": 0.8
}""",
        """\
recipe: 1
compat: hf
strategy: greedy
processors:
  - sequence_bias: [[[8, 9], -2.5]]
  - repetition_penalty: 1.2
  - no_repeat_ngram: 3
  - bad_words: [[5], [6, 7]]
  - min_new_tokens: 4
stop:
  - eos
  - max_new_tokens: 30
  - max_time: 2.5
  - stop_strings: ["\\n\\n"]
include_stop: true
""",
        """do_sample temperature num_beams num_return_sequences repetition_penalty no_repeat_ngram_size bad_words_ids
        sequence_bias max_length max_new_tokens min_new_tokens min_length stop_strings max_time length_penalty""",
        "pad_token_id use_cache guidance_scale",
    ),
}
