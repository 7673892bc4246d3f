"""Internal caches: set up, verified, given back."""

from __future__ import annotations

import pytest
import torch
import zoo
from adapters import connected
from test_sessions import IDS, same, truth
from torch import Tensor, nn

from decodery.contracts.errors import ModelError
from decodery.models.adapters.input_pos import InputPosModel
from decodery.models.probing.verify import random_ids


def test_a_cache_that_lies_is_an_error_when_it_was_asked_for() -> None:
    with pytest.raises(ModelError, match="not those of the whole context") as caught:
        connected(zoo.LyingCache(), "input_pos")
    assert "adapter='stateless'" in caught.value.remedy


def test_a_cache_that_lies_is_given_up_with_a_warning_otherwise() -> None:
    _, report = connected(zoo.LyingCache())
    assert report.adapter == "stateless"
    assert any("input_pos" in warning and "differ by" in warning for warning in report.warnings)
    assert "a cache that holds" in report.advice


@pytest.mark.parametrize("name", ["NoCache", "NoCacheRequired"])
def test_positions_without_a_cache_are_no_lie(name: str) -> None:
    with pytest.raises(ModelError, match="keeps nothing between calls"):
        connected(getattr(zoo, name)(), "input_pos")
    _, report = connected(getattr(zoo, name)())
    assert (report.adapter, report.warnings) == ("stateless", ())
    assert ("input_pos", f"{name} takes input_pos, and keeps nothing between calls") in report.rejected


def test_a_verified_cache_is_not_warned_of() -> None:
    assert connected(zoo.Demo())[1].warnings == ()


def test_a_plain_call_that_disagrees_with_the_cache_counts_too() -> None:
    class OtherPath(zoo.Demo):
        """Cached steps agree with each other, not with the model without positions."""

        def forward(self, x: Tensor, input_pos: Tensor | None = None) -> Tensor:
            return super().forward(x, input_pos) * (1.0 if input_pos is None else 0.5)

    with pytest.raises(ModelError, match="not those of the whole context"):
        connected(OtherPath(), "input_pos")


def test_a_chunk_goes_one_by_one_where_the_model_cannot_take_it() -> None:
    assert InputPosModel(zoo.Demo(), {}).chunks
    assert not InputPosModel(zoo.SingleToken(), {}).chunks


def test_an_older_larger_cache_does_not_refuse_a_smaller_batch() -> None:
    model = zoo.GptFast()
    model.setup_caches(8, zoo.CONTEXT)  # the user's own
    theirs = model.layers[0].kv_cache
    decodable, report = connected(model)
    assert report.adapter == "input_pos"
    session = decodable.open(3, 14)
    same(session.prefill(IDS[:, :9]), truth(model)[:, 8])
    session.close()
    assert model.layers[0].kv_cache is theirs
    assert model.max_batch_size == 8


def test_a_cache_of_unknown_length_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decodery.models.adapters.internal.UNKNOWN_LENGTH", 4)
    model = zoo.Demo()
    decodable, _ = connected(model)
    session = decodable.open(3, None)
    same(session.prefill(IDS[:, :3]), truth(model)[:, 2])
    for t in range(3, 14):
        same(session.step(IDS[:, t : t + 1]), truth(model)[:, t : t + 1])
    assert model.layers[0].kv_cache.k_cache.shape[2] == 16, "doubled, not made anew for each token"
    session.close()


def test_the_cache_is_no_larger_than_asked_for_and_no_larger_than_the_context() -> None:
    model = zoo.Demo()
    decodable, _ = connected(model)
    for length, size in ((9, 9), (500, zoo.CONTEXT), (None, zoo.CONTEXT)):
        session = decodable.open(2, length)
        assert model.layers[0].kv_cache.k_cache.shape[:3] == (2, zoo.HEADS, size)
        session.close()


def test_one_cache_serves_one_session_and_the_older_one_says_so() -> None:
    model = zoo.Demo()
    first, second = connected(model)[0], connected(model)[0]  # two decoders, one module
    old = first.open(3, 14)
    old.prefill(IDS[:, :4])
    new = second.open(3, 14)
    new.prefill(IDS[:, :4])
    with pytest.raises(ModelError, match="one text at a time"):
        old.step(IDS[:, 4:5])
    old.close()
    same(new.step(IDS[:, 4:5]), truth(model)[:, 4:5])
    new.close()
    assert model.layers[0].kv_cache is None


def test_a_session_that_cannot_be_set_up_leaves_the_module_alone() -> None:
    class Refusing(zoo.Demo):
        def setup_caches(self, max_batch_size: int, max_seq_length: int) -> None:
            if max_batch_size > 2:
                self.leftover = True
                raise MemoryError("too many rows")
            super().setup_caches(max_batch_size, max_seq_length)

    model = Refusing()
    decodable, _ = connected(model)
    with pytest.raises(
        ModelError, match=r"setup_caches\(max_batch_size=3, max_seq_length=14\).*too many rows"
    ):
        decodable.open(3, 14)
    assert model.training
    assert not hasattr(model, "leftover")


def test_set_up_arguments_are_understood_by_their_words() -> None:
    class Wordy(zoo.Demo):
        def setup_caches(
            self,
            bsz: int,
            seq_len: int,
            kv_dtype: torch.dtype,
            device: torch.device,
            *,
            encoder_max_seq_len: int = 7,
            flavour: str,
        ) -> None:
            self.seen = (bsz, seq_len, kv_dtype, str(device), encoder_max_seq_len, flavour)
            super().setup_caches(bsz, seq_len)

    model = Wordy().double()
    with pytest.raises(ModelError, match="wants flavour") as caught:
        connected(model, "input_pos")
    assert "'setup': {'flavour': ...}" in caught.value.remedy
    decodable, _ = connected(model, {"name": "input_pos", "setup": {"flavour": "plain"}})
    session = decodable.open(2, 14)
    assert model.seen == (2, 14, torch.float64, "cpu", 7, "plain")
    assert session.prefill(IDS[:2, :4]).dtype == torch.float64
    session.close()


def test_reset_is_called_before_a_session() -> None:
    model = zoo.Demo()
    decodable, _ = connected(model)
    before = model.resets
    session = decodable.open(1, 8)
    assert model.resets > before
    session.close()
    assert model.resets == before, "the counter is an attribute, put back like the others"


def test_positions_and_tokens_are_passed_by_name_where_order_is_unusual() -> None:
    class Swapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = zoo.Demo()
            self.config = self.inner.config

        def setup_caches(self, max_batch_size: int, max_seq_length: int) -> None:
            self.inner.setup_caches(max_batch_size, max_seq_length)

        def forward(self, input_pos: Tensor, idx: Tensor) -> Tensor:
            assert input_pos.dtype == torch.long
            assert input_pos.shape == (idx.shape[1],)
            return self.inner(idx, input_pos)

    model = Swapped()
    decodable, report = connected(model)
    assert report.adapter == "input_pos"
    session = decodable.open(3, 14)
    same(session.prefill(IDS[:, :4]), truth(model.inner)[:, 3])
    session.close()


def test_a_context_too_short_to_verify_is_still_driven() -> None:
    model = zoo.Demo()
    model.config.block_size = 2
    decodable, _ = connected(model)
    session = decodable.open(1, 2)
    same(session.prefill(IDS[:1, :1]), truth(model)[:1, 0])
    session.close()


class Rough(zoo.Demo):
    """Cached steps off by a hundredth: rounding in half precision, an error in single."""

    def forward(self, x: Tensor, input_pos: Tensor | None = None) -> Tensor:
        logits = super().forward(x, input_pos)
        return logits if input_pos is None else logits + 0.01 * torch.arange(zoo.VOCAB).cos().to(logits.dtype)


def test_half_precision_is_given_its_rounding_and_a_lie_is_still_found() -> None:
    assert connected(Rough().bfloat16())[1].adapter == "input_pos"
    assert connected(Rough())[1].adapter == "stateless"
    assert connected(zoo.LyingCache().bfloat16())[1].adapter == "stateless"


def test_caches_are_verified_on_the_same_tokens_every_time_and_on_ids_that_exist() -> None:
    assert torch.equal(random_ids(2, 10, 97), random_ids(2, 10, 97))
    assert random_ids(2, 10, 97).max() > 10
    assert set(random_ids(4, 50, None).flatten().tolist()) == {0, 1}
