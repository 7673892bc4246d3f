"""`-m` with a transformers directory: transformers itself says what must come out."""

from __future__ import annotations

import base64
import json
import shutil

import pytest
import torch

WORDS = [
    "<unk>",
    "<s>",
    "</s>",
    "once",
    "upon",
    "a",
    "time",
    "there",
    "was",
    "fox",
    "and",
    "the",
    "dog",
    "ran",
]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """(directory, model, tokenizer): a tiny Llama with a tokenizer of whole words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        bos_token_id=1,
        eos_token_id=2,
        initializer_range=0.5,
    )
    directory = tmp_path_factory.mktemp("llama")
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        model.lm_head.weight[:3] = 0  # a special token is never the best
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory, model, tokenizer


def expected(model, tokenizer, prompt, tokens):
    inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
    out = model.generate(**inputs, do_sample=False, max_new_tokens=tokens, pad_token_id=2)
    return out[0, inputs["input_ids"].shape[1] :].tolist()


@pytest.mark.parametrize("prompt", ["once upon a time", "the dog and the fox", "there"])
def test_a_transformers_directory_gives_transformers_tokens(run, reference, prompt):
    directory, model, tokenizer = reference
    outcome = run("generate", prompt, "-m", directory, "--max-new-tokens", 12, "--json")
    assert outcome.err == ""
    row = json.loads(outcome.out)
    tokens = expected(model, tokenizer, prompt, 12)
    assert len(set(tokens)) > 2  # a model that says one word would prove nothing
    assert row["tokens"] == tokens
    assert row["text"].split() == tokenizer.decode(tokens, skip_special_tokens=True).split()


def test_a_directory_without_a_tokenizer_takes_ids_or_another_tokenizer(run, reference, tmp_path):
    directory, model, tokenizer = reference
    for name in ("config.json", "model.safetensors", "generation_config.json"):
        shutil.copy(directory / name, tmp_path)
    assert "comes without a tokenizer" in run("generate", "the dog", "-m", tmp_path).err
    tokens = expected(model, tokenizer, "the dog", 6)
    ids = " ".join(map(str, tokenizer("the dog")["input_ids"]))
    assert run("generate", ids, "--ids", "-m", tmp_path, "--max-new-tokens", 6).out.split() == list(
        map(str, tokens)
    )
    for other in (directory, directory / "tokenizer.json"):
        outcome = run("generate", "the dog", "-m", tmp_path, "--tokenizer", other, "--max-new-tokens", 6)
        assert outcome.out.split() == tokenizer.decode(tokens, skip_special_tokens=True).split()


def test_a_directory_that_cannot_be_loaded_says_why(run, reference, tmp_path):
    directory, *_ = reference
    shutil.copy(directory / "config.json", tmp_path)
    outcome = run("generate", "x", "-m", tmp_path)
    assert outcome.code == 1
    assert f"-m '{tmp_path}' cannot be loaded: OSError" in outcome.err
    (tmp_path / "config.json").write_text("{")
    assert "cannot be loaded" in run("generate", "x", "-m", tmp_path).err


def test_code_in_a_model_directory_is_never_run(run, tmp_path):
    (tmp_path / "config.json").write_text(
        json.dumps(
            {
                "model_type": "own",
                "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"},
            }
        )
    )
    (tmp_path / "own.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Config: ...\nclass Model: ...\n"
    )
    outcome = run("generate", "x", "-m", tmp_path, stdin=b"y\n")
    assert outcome.code == 1
    assert "cannot be loaded" in outcome.err
    assert not (tmp_path / "ran").exists()


def test_a_registered_model_is_found_by_its_name_and_its_plugins(run, install, monkeypatch):
    code = """
from decodery import hookimpl
from decodery.contracts.specs import ModelSpec

@hookimpl
def provide_models():
    return [ModelSpec("acme_tiny", "tiny_models:load"), ModelSpec("acme_lost", "absent_module:load")]
"""
    monkeypatch.syspath_prepend(install("acme-models", code))
    for name in ("acme_tiny", "acme-models/acme_tiny"):
        assert run("generate", "abc", "-m", name, "--max-new-tokens", 2).out == "de\n"
    lost = run("generate", "abc", "-m", "acme_lost")
    assert lost.code == 1
    assert "model 'acme-models/acme_lost': 'absent_module:load' cannot be imported" in lost.err
    near = run("generate", "abc", "-m", "acme_tinny").err
    assert "unknown model 'acme_tinny'" in near
    assert "did you mean 'acme_tiny'?" in near


def test_the_current_directory_is_where_modules_are_looked_for(run, tmp_path, monkeypatch):
    (tmp_path / "model_of_mine.py").write_text("""
import torch

def load():
    return lambda x: torch.nn.functional.one_hot((x * 2) % 11, 11) * 9.0
""")
    command = ("generate", "1", "--ids", "-m", "model_of_mine:load", "--max-new-tokens", 5)
    assert "no module 'model_of_mine'" in run(*command).err
    monkeypatch.chdir(tmp_path)
    assert run(*command).out == "2 4 8 5 10\n"


def test_a_directory_that_is_gone_holds_no_module(run, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    outcome = run("generate", "1", "--ids", "-m", "module_of_nobody:load")
    assert outcome.code == 1
    assert "no module 'module_of_nobody'" in outcome.err


def test_a_sentencepiece_model_is_a_tokenizer(run, tmp_path):
    sentencepiece = pytest.importorskip("sentencepiece")
    trained = sentencepiece.SentencePieceTrainer.train
    text = ["abc abd dab", "cab bad"] * 9
    trained(sentence_iterator=iter(text), model_prefix=str(tmp_path / "spm"), vocab_size=10, minloglevel=2)
    command = ("generate", "a", "-m", "tiny_models:without_tokenizer", "--max-new-tokens", 3)
    outcome = run(*command, "--tokenizer", tmp_path / "spm.model")
    assert outcome.code == 0, outcome.err
    (tmp_path / "bad.model").write_bytes(b"no model")
    refused = run(*command, "--tokenizer", tmp_path / "bad.model")
    assert refused.code == 1
    assert "cannot be loaded" in refused.err


@pytest.mark.parametrize("name", ["own.tiktoken", "tokenizer.model", "ranks"])
def test_a_tiktoken_vocabulary_is_told_what_it_lacks(run, tmp_path, name):
    """By its contents: some models' tokenizer.model is one, and not sentencepiece's."""
    ranks = "".join(f"{base64.b64encode(bytes([byte])).decode()} {byte}\n" for byte in range(256))
    (tmp_path / name).write_text(ranks)
    outcome = run("generate", "a", "-m", "demo", "--tokenizer", tmp_path / name)
    assert (outcome.code, outcome.out) == (1, "")
    assert "is a tiktoken vocabulary, which says neither how a text is split" in outcome.err
    assert f"load_tiktoken_bpe({str(tmp_path / name)!r})" in outcome.err


def test_the_remedy_for_a_tiktoken_vocabulary_works(run, tmp_path, monkeypatch):
    pytest.importorskip("tiktoken")
    ranks = "".join(f"{base64.b64encode(bytes([byte])).decode()} {byte}\n" for byte in range(256))
    (tmp_path / "own.tiktoken").write_text(ranks)
    (tmp_path / "split_by_me.py").write_text(
        """
import tiktoken.load

def load():
    ranks = tiktoken.load.load_tiktoken_bpe("own.tiktoken")
    return tiktoken.Encoding("own", pat_str=r"\\s*\\S+", special_tokens={}, mergeable_ranks=ranks)
"""
    )
    monkeypatch.chdir(tmp_path)
    outcome = run("generate", "ab", "-m", "demo", "--tokenizer", "split_by_me:load", "--max-new-tokens", 2)
    assert outcome.code == 0, outcome.err


def test_a_file_that_is_no_tokenizer_is_told_what_is(run, tmp_path):
    (tmp_path / "vocab.json").write_text('{"a": 1}')
    (tmp_path / "folder").mkdir()
    command = ("generate", "a", "-m", "demo", "--tokenizer")
    one_of_many = run(*command, tmp_path / "vocab.json").err
    assert "is no tokenizer.json: " in one_of_many
    assert "name the directory that it lies in" in one_of_many
    assert "no such file or directory" in run(*command, tmp_path / "none.json").err
    assert "is no file" in run(*command, "/dev/null").err
    assert "cannot be loaded" in run(*command, tmp_path / "folder").err
