"""Models that nobody here wrote, tiny and random: their greedy tokens are those of the whole text.

Each is skipped where its package is not installed; `pip install '.[zoo]'` brings those that are small.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from families import Truth
from test_families import greedy
from torch import Tensor, nn

from decodery import Decoder
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


CASES: list[tuple[str, Callable[[], Any], str]] = [
    ("litgpt", litgpt, "input_pos"),
    ("x-transformers", x_transformers, "state"),
    ("x-transformers, rotary", lambda: x_transformers(rotary_pos_emb=True), "state"),
    ("torchtune", torchtune, "input_pos"),
    ("ibm-fms", fms, "state"),
    ("xlstm", xlstm, "step"),
    ("minimamba", minimamba, "stateless"),
    ("mambapy", mambapy, "step"),
    ("whisper", whisper, "stateless"),
]
every_case = pytest.mark.parametrize(
    ("make", "adapter"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
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
