"""Encoder-decoders of one's own, driven by their two halves."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from adapters import connected
from torch import Tensor, nn

from decodery import Decoder, Pipeline
from decodery.contracts.errors import DecoderyError, InvalidInput, ModelError

VOCAB, WIDTH, CONTEXT, START, NEW = 31, 16, 24, 1, 8
PROMPTS = [[11, 12, 13, 14], [21, 22], [3, 4, 5, 6, 7, 8], [23, 24]]


class Seq2Seq(nn.Module):
    """PyTorch's own transformer, batch first, learned positions: `forward(src, tgt)`, `encode`, `decode`."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.tok = nn.Embedding(VOCAB, WIDTH)
            self.pos = nn.Embedding(CONTEXT, WIDTH)
            self.body = nn.Transformer(WIDTH, 2, 1, 1, 32, dropout=0.1, batch_first=True)
            self.generator = nn.Linear(WIDTH, VOCAB)
            for parameter in self.parameters():
                if parameter.dim() > 1:
                    nn.init.normal_(parameter, std=0.5)
        self.encoded = 0

    def embed(self, ids: Tensor) -> Tensor:
        return self.tok(ids) + self.pos(torch.arange(ids.shape[1]))

    def encode(self, src: Tensor) -> Tensor:
        self.encoded += 1
        return self.body.encoder(self.embed(src))

    def states(self, tgt: Tensor, memory: Tensor) -> Tensor:
        causal = torch.ones(tgt.shape[1], tgt.shape[1], dtype=torch.bool).triu(1)
        return self.body.decoder(self.embed(tgt), memory, tgt_mask=causal)

    def decode(self, tgt: Tensor, memory: Tensor) -> Tensor:
        return self.generator(self.states(tgt, memory))

    def forward(self, src: Tensor, tgt: Tensor) -> Tensor:
        return self.decode(tgt, self.encode(src))


class Swapped(Seq2Seq):
    """The annotated transformer's order of arguments, masks included; hidden states, the head elsewhere."""

    def decode(self, memory: Tensor, src_mask: Any, tgt: Tensor, tgt_mask: Any) -> Tensor:  # type: ignore[override]
        return self.states(tgt, memory)

    def forward(self, src: Tensor, tgt: Tensor) -> Tensor:
        return self.generator(self.states(tgt, self.encode(src)))


class Speech(Seq2Seq):
    """Reads features (B, 5, S) at half their rate; the memory is a dict, time first."""

    def __init__(self) -> None:
        super().__init__()
        self.front = nn.Conv1d(5, WIDTH, 2, stride=2)

    def encode(self, audio: Tensor, speaker: Tensor | None = None) -> dict[str, Tensor]:  # type: ignore[override]
        memory = self.front(audio).permute(2, 0, 1)  # (B, D, S) -> (S, B, D)
        return {"states": memory if speaker is None else memory + speaker.float().view(1, -1, 1)}

    def decode(self, y: Tensor, enc: dict[str, Tensor]) -> Tensor:  # type: ignore[override]
        return self.generator(self.states(y, enc["states"].transpose(0, 1)))


def by_hand(model: Any, prompt: list[int], start: list[int]) -> list[int]:
    """Greedy, one row, everything anew at each step."""
    model.eval()
    ids = list(start)
    for _ in range(NEW):
        with torch.no_grad():
            ids.append(int(model(torch.tensor([prompt]), torch.tensor([ids]))[0, -1].argmax()))
    return ids[len(start) :]


ONE_LINE: dict[str, tuple[type[Seq2Seq], Any]] = {
    "nothing said": (Seq2Seq, "auto"),
    "names": (Seq2Seq, lambda m: {"encode": "encode", "decode": "decode"}),
    "a head": (Seq2Seq, lambda m: {"decode": m.states, "logits": "generator"}),
    "functions": (
        Swapped,
        lambda m: {
            "encode": m.encode,
            "decode": lambda ids, memory: m.decode(memory, None, ids, None),
            "logits": m.generator,
        },
    ),
}


def decoder_of(kind: str, **options: Any) -> Decoder:
    make, adapter = ONE_LINE[kind]
    model = make()
    if adapter == "auto":
        model.decoder_start_token_id = START  # type: ignore[assignment]
    else:
        adapter = {"name": "encoder_decoder", "decoder_start_token_id": START, **adapter(model)}
    return Decoder(
        model, Pipeline().stop("max_new_tokens", NEW), adapter=adapter, vocab_size=VOCAB, **options
    )


@pytest.mark.parametrize("kind", ONE_LINE)
def test_ragged_prompts_give_the_tokens_of_a_loop_by_hand(kind: str) -> None:
    decoder = decoder_of(kind)
    assert (decoder.report.adapter, decoder.report.warnings) == ("encoder_decoder", ())
    model = decoder.model.model  # type: ignore[attr-defined]
    assert model.training  # left as it was found
    expected = [by_hand(model, prompt, [START]) for prompt in PROMPTS]
    model.train()
    assert len(set(map(tuple, expected))) >= 3
    assert decoder.generate(PROMPTS).tokens == expected
    assert model.training
    starts = [[START, 9, 8], [START], [START, 5], [START]]
    assert decoder.generate(PROMPTS, decoder_prompts=starts).tokens == [
        by_hand(model, prompt, start) for prompt, start in zip(PROMPTS, starts, strict=True)
    ]


def test_a_prompt_is_encoded_once_whatever_is_sampled_of_it() -> None:
    decoder = decoder_of("nothing said")
    model = decoder.model.model  # type: ignore[attr-defined]
    model.encoded = 0
    decoder.generate([PROMPTS[0], PROMPTS[0][::-1]], n=1)
    assert model.encoded == 1
    model.encoded = 0
    decoder.generate(PROMPTS)
    assert model.encoded == 3  # a call for each length


def test_rows_are_reordered_with_what_they_read_and_tokens_taken_back() -> None:
    model = Seq2Seq()
    session = connected(model, "encoder_decoder")[0].open(4, None)
    width = max(map(len, PROMPTS))
    read = torch.tensor([row + [0] * (width - len(row)) for row in PROMPTS])
    ids = torch.randint(0, VOCAB, (4, 7), generator=torch.Generator().manual_seed(1))

    def truth(row: int, length: int) -> Tensor:
        with torch.no_grad():
            return model(torch.tensor([PROMPTS[row]]), ids[row : row + 1, :length])[0, -1]

    session.prefill(ids[:, :2], encoder_ids=read, encoder_mask=(read != 0).long())
    session.step((ids[:, 2:5] + 1) % VOCAB)
    session.rewind(torch.tensor([3] * 4))
    close = {"atol": 1e-4, "rtol": 1e-4}
    chunk = session.step(ids[:, 2:5])
    for row in range(4):
        torch.testing.assert_close(chunk[row, -1], truth(row, 5), **close)
    rows = [2, 0, 0, 3, 1]
    session.select(torch.tensor(rows))
    after = session.step(ids[rows, 5:6])
    for place, row in enumerate(rows):
        torch.testing.assert_close(after[place, -1], truth(row, 6), **close)
    encoded = model.encoded
    session.select(torch.tensor([0, 2, 1, 3, 4]))  # beams of one prompt change places: nothing to encode
    session.step(ids[rows, 6:7])
    assert model.encoded == encoded
    session.close()


def test_features_are_read_and_go_with_their_rows() -> None:
    model = Speech()
    adapter = {"name": "encoder_decoder", "decoder_start_token_id": START}
    decoder = Decoder(model, Pipeline().stop("max_new_tokens", NEW), adapter=adapter, vocab_size=VOCAB)
    assert "takes no ids" in str(decoder.report)
    audio = torch.randn(3, 5, 12, generator=torch.Generator().manual_seed(0)) * 3
    speaker = torch.tensor([0.0, 4.0, -2.0])
    whole = decoder.generate(model_inputs={"audio": audio, "speaker": speaker}, n=2)
    assert len(set(map(tuple, whole.tokens))) == 3
    model.eval()
    for row in range(3):
        ids = [START]
        for _ in range(NEW):
            with torch.no_grad():
                memory = model.encode(audio[row : row + 1], speaker[row : row + 1])
                ids.append(int(model.decode(torch.tensor([ids]), memory)[0, -1].argmax()))
        assert whole.tokens[2 * row] == whole.tokens[2 * row + 1] == ids[1:]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"encode": "encoder.run"}, "no 'encoder.run' to call"),
        ({"decode": 3}, "decode = 3"),
        ({"decode": lambda ids: ids}, "failed on ids"),
        ({"decode": lambda ids, memory: memory.sum()}, "expected"),
        ({"decode": lambda ids, memory: None, "logits": "generator"}, "finds nothing in None"),
        ({"decoder_start_token_id": "<s>"}, "decoder_start_token_id"),
        ({"encoding": 1}, "no option 'encoding'"),
    ],
)
def test_halves_that_cannot_be_are_named(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(DecoderyError, match=problem):
        connected(Seq2Seq(), {"name": "encoder_decoder", **options})


def test_a_decoder_that_looks_ahead_is_warned_of() -> None:
    model = Seq2Seq()

    def ahead(ids: Tensor, memory: Tensor) -> Tensor:
        return model.generator(model.body.decoder(model.embed(ids), memory))

    _, report = connected(model, {"name": "encoder_decoder", "decode": ahead})
    assert "not causal" in str(report)


def test_a_time_first_decoder_is_refused() -> None:
    model = Seq2Seq()

    def turned(ids: Tensor, memory: Tensor) -> Tensor:
        return model.decode(ids.t(), memory[:1].expand(ids.shape[1], -1, -1)).transpose(0, 1)

    with pytest.raises(ModelError, match="time-first"):
        connected(model, {"name": "encoder_decoder", "decode": turned})


def test_without_a_start_token_a_decoder_prompt_is_asked_for() -> None:
    decoder = Decoder(Seq2Seq())
    with pytest.raises(InvalidInput, match="which token its decoder starts with"):
        decoder.generate([5])
    assert len(decoder.generate([5], decoder_prompts=[START], max_new_tokens=2).tokens[0]) == 2
    with pytest.raises(InvalidInput, match="nothing to encode"):
        decoder.model.open(1, None).prefill(torch.tensor([[1]]))
