"""Tokens come in tensors that were allocated ahead, of which a caller notices nothing."""

from __future__ import annotations

from threading import Thread

import pytest
import torch

from decodery import Pipeline
from decodery.kernels.answers import AHEAD, Answers, Singles


@pytest.mark.parametrize("strategy", ["sample", "greedy"])
def test_every_token_of_a_row_alone_is_a_tensor_of_its_own(
    strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DECODERY_KERNELS", "torch")
    seed = {"seed": 1} if strategy == "sample" else {}
    pipe = Pipeline().add("top_k", 5).with_strategy(strategy, **seed)
    ids = torch.zeros(1, 3, dtype=torch.int64)
    bound, given, copies = pipe.bind(ids), [], []
    for turn in range(3 * AHEAD):
        with torch.inference_mode(turn % 3 == 0):
            row = torch.randn(1, 300, generator=torch.Generator().manual_seed(turn))
            given.append(bound.pick(ids, row))
            copies.append(given[-1].tolist())
    assert [tokens.tolist() for tokens in given] == copies, "a later answer has written over an earlier one"
    assert len(set(map(tuple, copies))) > AHEAD
    assert len({tokens.untyped_storage().data_ptr() for tokens in given}) == len(given)
    assert not any(tokens.is_inference() for tokens in given)
    assert given[0].resize_(4).shape == (4,)


def test_a_token_is_written_as_it_is() -> None:
    singles = Singles()
    for token in (0, 5, 2**40):
        found = singles.of(token)
        assert found.dtype is torch.int64
        assert found.tolist() == [token]


def test_the_number_of_rows_may_change_at_any_time() -> None:
    answers = Answers(torch.Tensor.data_ptr)
    for rows in (2, 2, 5, 2, 1):
        tokens, address = answers.take(rows)
        assert tokens.shape == (rows,)
        assert address == tokens.data_ptr()


def test_threads_never_get_the_same_tensor() -> None:
    answers, found = Answers(torch.Tensor.data_ptr), []
    threads = [Thread(target=lambda: found.extend(answers.take(1) for _ in range(500))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({address for _, address in found}) == 2000
