"""`decodery chat` with models of transformers in a folder, whose tokenizer brings a chat template."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PICKY = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    + TEMPLATE
)
DEAF = "{% for m in messages %}{% if m.role != 'system' %}{{ m.content }}<|im_end|>{% endif %}{% endfor %}"
GREEDY = ("-r", "greedy", "--max-new-tokens", "12")


def _tokenizer(template: str | None) -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    special = ["<|start|>", "<|end|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    inner.train_from_iterator(["the user and the assistant talk of this and that"], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<|start|>", eos_token="<|end|>")
    tokenizer.add_special_tokens({"additional_special_tokens": special[2:]})
    tokenizer.chat_template = template
    return tokenizer


def _save(folder: Path, template: str | None, context: int = 128) -> Path:
    tokenizer = _tokenizer(template)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=context,
        initializer_range=0.4,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _save(tmp_path_factory.mktemp("llama"), TEMPLATE)


def _generated(folder: Path, messages: list[dict[str, str]], **more: Any) -> str:
    """transformers' own answer, from its own template."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    config = GenerationConfig(
        max_new_tokens=12, do_sample=False, pad_token_id=0, eos_token_id=more.get("eos", [1, 3])
    )
    out = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)
    return str(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)).strip()


def test_answers_are_those_of_transformers_with_the_models_own_template(
    run: Any, llama: Path, tmp_path: Path
) -> None:
    file = tmp_path / "talk.json"
    talk = f"Hello\nWho are you?\n/save {file}\n".encode()
    outcome = run("chat", "-m", llama, *GREEDY, "--system", "Be brief.", stdin=talk)
    assert outcome.code == 0, outcome.err
    messages = json.loads(file.read_text(encoding="utf-8"))
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user", "assistant"]
    for place in (2, 4):
        assert messages[place]["content"] == _generated(llama, messages[:place])
    assert "no chat template" not in outcome.err


def test_the_token_that_the_template_puts_behind_an_answer_ends_one(run: Any, llama: Path) -> None:
    shown = run("chat", "-m", llama, *GREEDY, stdin=b"/recipe\n")
    assert "stop_token_ids: [3]" in shown.out  # <|im_end|>; the model itself knows of 1 alone


def test_a_refused_system_text_is_told_before_anybody_talks(run: Any, tmp_path: Path) -> None:
    folder = _save(tmp_path / "picky", PICKY)
    outcome = run("chat", "-m", folder, *GREEDY, "--system", "Be brief.", stdin=b"Hello\n")
    assert (outcome.code, outcome.out) == (1, "")
    assert "the chat template refuses this conversation: System role not supported" in outcome.err
    assert run("chat", "-m", folder, *GREEDY, stdin=b"Hello\n").code == 0
    # Later, too, and the chat goes on.
    late = run("chat", "-m", folder, *GREEDY, stdin=b"/system Be brief.\nHello\n/clear\n")
    assert late.code == 1
    assert "System role not supported" in late.err


def test_a_system_text_that_the_template_leaves_out_is_told(run: Any, tmp_path: Path) -> None:
    folder = _save(tmp_path / "deaf", DEAF)
    outcome = run("chat", "-m", folder, *GREEDY, "--system", "Be brief.", stdin=b"Hello\n")
    assert outcome.code == 0
    assert "(the chat template leaves the system text out)" in outcome.err


def test_without_a_template_or_on_demand_it_is_a_transcript(run: Any, llama: Path, tmp_path: Path) -> None:
    folder = _save(tmp_path / "plain", None)
    bare = run("chat", "-m", folder, *GREEDY, stdin=b"Hello\n/recipe\n")
    asked = run("chat", "-m", llama, *GREEDY, "--template", "transcript", stdin=b"Hello\n/recipe\n")
    assert bare.out == asked.out
    assert '"\\nUser:"' in bare.out
    assert "has no chat template" in bare.err
    assert "has no chat template" not in asked.err


def test_a_conversation_longer_than_the_context_goes_on(run: Any, tmp_path: Path) -> None:
    folder = _save(tmp_path / "narrow", TEMPLATE, context=64)
    outcome = run("chat", "-m", folder, *GREEDY, stdin=b"".join(b"number %d\n" % i for i in range(6)))
    assert outcome.code == 0, outcome.err
    assert "left out: the context has room for 64 tokens" in outcome.err
