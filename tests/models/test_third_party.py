"""Models that nobody here wrote, tiny and random: their greedy tokens are those of the whole text.

Each is skipped where its package is not installed; `pip install '.[zoo]'` brings those that are small.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from families import Truth
from test_families import greedy
from torch import Tensor, nn

from decodery import Decoder, inspect_model
from decodery.host.registry import Host

# They warn of many things while they are imported, none of them ours to mend.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
HOST = Host(selection="")
VOCAB, CONTEXT, NEW = 37, 32, 7
PROMPTS = [[3, 14, 15], [9, 2, 6, 5, 35], [8]]


def package(name: str) -> Any:
    """The module, or a skip, whatever keeps it from being imported."""
    try:
        return importlib.import_module(name)
    except Exception as error:
        pytest.skip(f"{name} cannot be imported: {error}")


def loud(model: nn.Module) -> nn.Module:
    """Weights large enough for context to matter."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.3)
    return model.eval()


def litgpt() -> Any:
    lit = package("litgpt")
    config = lit.Config(
        block_size=CONTEXT, vocab_size=VOCAB, padded_vocab_size=40, n_layer=2, n_head=4, n_embd=32
    )
    model = loud(lit.GPT(config))
    return model, lambda ids: model(ids)[..., :VOCAB], {}


def x_transformers(**kwargs: Any) -> Any:
    x = package("x_transformers")
    layers = x.Decoder(dim=32, depth=2, heads=2, **kwargs)
    model = loud(x.TransformerWrapper(num_tokens=VOCAB, max_seq_len=CONTEXT, attn_layers=layers))
    return model, model, {}


def torchtune() -> Any:
    builder = package("torchtune.models.llama3").llama3
    model = loud(
        builder(
            vocab_size=VOCAB, num_layers=2, num_heads=4, num_kv_heads=2, embed_dim=32, max_seq_len=CONTEXT
        )
    )
    return model, model, {}


def fms() -> Any:
    llama = package("fms.models.llama")
    config = llama.LLaMAConfig(
        src_vocab_size=VOCAB,
        emb_dim=32,
        nheads=4,
        kvheads=2,
        nlayers=2,
        max_expected_seq_len=CONTEXT,
        pad_id=-1,
    )
    model = llama.LLaMA(config)
    model.reset_parameters()
    model.eval()
    # 1.13 answers otherwise for two tokens alone than for the same two at the head of a longer text, with which its
    # cached steps agree: the truth is taken from there.
    return (
        model,
        lambda ids: model(nn.functional.pad(ids, (0, max(0, 3 - ids.shape[1]))))[:, : ids.shape[1]],
        {},
    )


def xlstm() -> Any:
    x = package("xlstm")
    block = x.mLSTMBlockConfig(mlstm=x.mLSTMLayerConfig(num_heads=2))
    config = x.xLSTMLMModelConfig(
        vocab_size=VOCAB, context_length=CONTEXT, num_blocks=2, embedding_dim=32, mlstm_block=block
    )
    model = x.xLSTMLMModel(config).eval()
    return model, model, {}


def minimamba() -> Any:
    mini = package("minimamba")
    model = loud(
        mini.MambaForCausalLM(mini.MambaLMConfig(d_model=16, n_layer=2, vocab_size=VOCAB, d_state=4))
    )
    return model, lambda ids: model(ids)[..., :VOCAB], {}  # padded to a multiple of eight


def mambapy() -> Any:
    mamba = package("mambapy.mamba")
    config = mamba.MambaConfig(d_model=16, n_layers=2)

    class LanguageModel(nn.Module):
        """The package's own needs a CUDA kernel's package; its blocks do not."""

        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.mamba = nn.Embedding(VOCAB, 16), mamba.Mamba(config)
            self.lm_head = nn.Linear(16, VOCAB, bias=False)

        def forward(self, tokens: Tensor) -> Tensor:
            return self.lm_head(self.mamba(self.embedding(tokens)))

        def step(self, token: Tensor, caches: Any) -> Any:
            x, caches = self.mamba.step(self.embedding(token), list(caches))
            return self.lm_head(x), caches

    def caches(batch: int) -> list[Any]:
        return [(None, torch.zeros(batch, config.d_inner, config.d_conv - 1)) for _ in range(config.n_layers)]

    model = LanguageModel().eval()
    return model, model, {"adapter": {"name": "step", "state": caches}}


def whisper() -> Any:
    w = package("whisper.model")
    model = loud(w.Whisper(w.ModelDimensions(8, 16, 16, 2, 1, VOCAB, CONTEXT, 16, 2, 2)))
    heard = torch.randn(1, 16, 16)

    def decode(ids: Tensor) -> Tensor:
        return model.logits(ids, heard.expand(len(ids), -1, -1))

    return decode, decode, {"max_length": CONTEXT}


def rwkv() -> Any:
    """The fourth generation: of all that the package loads, the one with the fewest weights. It reads them from a
    file, and takes a list of ids or one row's tensor."""
    os.environ.update(RWKV_JIT_ON="0", RWKV_CUDA_ON="0")  # read while the package is imported
    loader, width, layers = package("rwkv.model"), 32, 2
    weights = {"emb.weight": torch.randn(VOCAB, width), "head.weight": torch.randn(VOCAB, width)}

    def norm(name: str) -> None:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = torch.ones(width), torch.zeros(width)

    norm("ln_out")
    norm("blocks.0.ln0")
    for layer in range(layers):
        att, ffn = f"blocks.{layer}.att.", f"blocks.{layer}.ffn."
        norm(f"blocks.{layer}.ln1")
        norm(f"blocks.{layer}.ln2")
        for name in ("time_decay", "time_first"):
            weights[att + name] = 0.4 * torch.randn(width)
        for name in (*(att + f"time_mix_{n}" for n in "kvr"), *(ffn + f"time_mix_{n}" for n in "kr")):
            weights[name] = torch.rand(1, 1, width)
        for name in ("key", "value", "receptance", "output"):
            weights[f"{att}{name}.weight"] = 0.4 * torch.randn(width, width)
        weights[ffn + "key.weight"] = 0.4 * torch.randn(2 * width, width)
        weights[ffn + "receptance.weight"] = 0.4 * torch.randn(width, width)
        weights[ffn + "value.weight"] = 0.4 * torch.randn(width, 2 * width)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        torch.save(weights, Path(folder, "tiny.pth"))
        model = loader.RWKV(model=str(Path(folder, "tiny")), strategy="cpu fp32")

    def truth(ids: Tensor) -> Tensor:
        rows = [model.forward(row, None, full_output=True)[0].view(-1, VOCAB) for row in ids.tolist()]
        return torch.stack(rows)

    return model, truth, {}


CASES: list[tuple[str, Callable[[], Any], str, str]] = [
    # package, model, adapter, what its user writes beside Decoder(model)
    ("litgpt", litgpt, "input_pos", "none"),
    ("x-transformers", x_transformers, "state", "none"),
    ("x-transformers, rotary", lambda: x_transformers(rotary_pos_emb=True), "state", "none"),
    ("torchtune", torchtune, "input_pos", "none"),
    ("ibm-fms", fms, "state", "none"),
    ("xlstm", xlstm, "step", "none"),
    ("minimamba", minimamba, "stateless", "none"),
    ("mambapy", mambapy, "step", "adapter={'name': 'step', 'state': caches}"),
    ("openai-whisper", whisper, "stateless", "lambda ids: model.logits(ids, heard), max_length="),
    ("rwkv", rwkv, "state", "none"),
]
every_case = pytest.mark.parametrize(
    ("make", "adapter"), [case[1:3] for case in CASES], ids=[c[0] for c in CASES]
)


def built(make: Callable[[], Any]) -> tuple[Any, Truth, dict[str, Any]]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, truth, line = make()
    return model, torch.no_grad()(truth), line


@every_case
def test_a_ragged_batch_has_the_best_tokens_of_the_whole_text_twice(
    make: Callable[[], Any], adapter: str
) -> None:
    model, truth, line = built(make)
    expected = [greedy(truth, prompt, NEW) for prompt in PROMPTS]
    decode = Decoder(model, host=HOST, **line)
    assert decode.report.adapter == adapter, str(decode.report)
    for _ in range(2):
        assert decode.generate(PROMPTS, max_new_tokens=NEW).tokens == expected


@every_case
def test_seeded_draws_are_those_without_a_cache_and_the_context_ends_a_row(
    make: Callable[[], Any], adapter: str
) -> None:
    model, truth, line = built(make)
    recipe = {"recipe": 1, "strategy": "sample", "processors": [{"top_k": 20}]}
    decode = Decoder(model, recipe, host=HOST, **line)
    plain = Decoder(truth, recipe, adapter="stateless", vocab_size=VOCAB, host=HOST)
    ours, theirs = (d.generate(PROMPTS, n=2, seed=5, max_new_tokens=NEW) for d in (decode, plain))
    assert ours.tokens == theirs.tokens
    if decode.model.facts.max_length is not None:
        gen = Decoder(model, host=HOST, **line).generate(list(range(28)), max_new_tokens=9)
        assert (gen.finish_reasons, gen.tokens) == (["context"], [greedy(truth, list(range(28)), 4)])


@every_case
def test_rows_and_tokens_of_a_session_are_taken_as_it_says(make: Callable[[], Any], adapter: str) -> None:
    model, truth, line = built(make)
    decodable = Decoder(model, host=HOST, **line).model
    assert decodable.facts.capabilities.select
    ids = torch.randint(0, VOCAB, (3, 12), generator=torch.Generator().manual_seed(1))
    session = decodable.open(3, 12)
    session.prefill(ids[:, :4])
    session.step(ids[:, 4:8])
    session.rewind(torch.tensor([3, 3, 3]))
    rows = torch.tensor([2, 0, 2, 2])
    session.select(rows)
    logits = session.step(ids[rows, 5:7])
    session.close()
    torch.testing.assert_close(
        logits.log_softmax(-1), truth(ids[rows, :7])[:, 5:7].log_softmax(-1), atol=1e-3, rtol=1e-3
    )


@every_case
def test_past_the_block_size_a_text_slides_as_a_loop_that_crops(
    make: Callable[[], Any], adapter: str
) -> None:
    model, truth, line = built(make)
    context = Decoder(model, host=HOST, **line).model.facts.max_length
    if context is None:
        pytest.skip("its texts have no end")
    decode = Decoder(model, overflow="slide", host=HOST, **line)
    expected = []
    for prompt in PROMPTS:
        text = list(prompt)
        for _ in range(context + 5):
            text.append(int(truth(torch.tensor([text[-context:]]))[0, -1].argmax()))
        expected.append(text[len(prompt) :])
    assert decode.generate(PROMPTS, max_new_tokens=context + 5).tokens == expected


@pytest.mark.parametrize(("name", "make", "adapter", "said"), CASES, ids=[c[0] for c in CASES])
def test_the_doctor_tells_how_fast_it_is_with_and_without_its_cache(
    name: str, make: Callable[[], Any], adapter: str, said: str, record_property: Callable[..., None]
) -> None:
    """Printed as a table at the end of the run."""
    model, _, line = built(make)
    report = inspect_model(model, host=HOST, **line)
    assert report.adapter == adapter
    assert report.speed is not None
    assert (report.speed.whole is None) == (report.difference is None)
    speeds = [
        f"{report.speed.cached:,.0f}",
        "" if report.speed.whole is None else f"{report.speed.whole:,.0f}",
    ]
    cached, whole = reversed(speeds) if report.difference is None else speeds
    record_property("zoo", f"{name:24}{adapter:12}{said:52}{cached:>9}{whole:>9}")


def test_torchtunes_gemma2_is_wrong_with_its_cache_and_right_without() -> None:
    builder = package("torchtune.models.gemma2").gemma2
    sizes = {"num_heads": 4, "head_dim": 8, "num_kv_heads": 2, "embed_dim": 32, "intermediate_dim": 64}

    def make() -> Any:
        model = loud(
            builder(vocab_size=VOCAB, num_layers=2, max_seq_len=CONTEXT, sliding_window_size=8, **sizes)
        )
        return model, model, {}

    model, truth, _ = built(make)
    decode = Decoder(model, host=HOST)
    assert decode.report.adapter == "stateless"
    assert "steps with its cache are not those of the whole context" in decode.report.warnings[0]
    assert decode.generate(PROMPTS, max_new_tokens=NEW).tokens == [greedy(truth, p, NEW) for p in PROMPTS]
