"""Each sampler of the box against the class of the installed transformers: the same bits."""

from __future__ import annotations

import pytest
import torch
from hf_versions import FOUR
from transformers.generation import logits_process as hf

from decodery.builtin.reference.temperature import temperature
from decodery.builtin.reference.tokens import SuppressTokens
from decodery.builtin.reference.truncation import min_p, top_k, top_p
from decodery.builtin.reference.typical import epsilon_cutoff, eta_cutoff, top_h, typical_p
from decodery.builtin.reference.values import remove_invalid_values, renormalize

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
EDGES = (0.0, 1e-6, 0.1, 0.5, 0.9, 0.95, 0.999)
INSIDE = (1e-6, 0.01, 0.2, 0.5, 0.95, 0.999)
CUTOFFS = (1e-5, 3e-4, 0.02, 0.3, 0.9)
KEEPS = (1, 3, 40)

CASES = {
    "temperature": [
        (lambda s, t=t: temperature(s, t), hf.TemperatureLogitsWarper(t)) for t in (0.1, 0.7, 1.0, 1.3, 50.0)
    ],
    "top_k": [
        (lambda s, k=k, m=m: top_k(s, k, m), hf.TopKLogitsWarper(k, min_tokens_to_keep=m))
        for k in (1, 2, 10, 50, 10_000)
        for m in KEEPS
    ],
    "top_p": [
        (lambda s, p=p, m=m: top_p(s, p, m), hf.TopPLogitsWarper(p, min_tokens_to_keep=m))
        for p in (*EDGES, 1.0)
        for m in KEEPS
    ],
    "min_p": [
        (lambda s, p=p, m=m: min_p(s, p, m), hf.MinPLogitsWarper(p, min_tokens_to_keep=m))
        for p in (*EDGES, 1.0)
        for m in (KEEPS[:1] if FOUR else KEEPS)  # of equal scores transformers 4 keeps others
    ],
    "typical_p": [
        (lambda s, p=p, m=m: typical_p(s, p, m), hf.TypicalLogitsWarper(p, min_tokens_to_keep=m))
        for p in INSIDE
        for m in KEEPS
    ],
    "epsilon_cutoff": [
        (lambda s, e=e, m=m: epsilon_cutoff(s, e, m), hf.EpsilonLogitsWarper(e, min_tokens_to_keep=m))
        for e in CUTOFFS
        for m in KEEPS
    ],
    "eta_cutoff": [
        (lambda s, e=e, m=m: eta_cutoff(s, e, m), hf.EtaLogitsWarper(e, min_tokens_to_keep=m))
        for e in CUTOFFS
        for m in KEEPS
    ],
    "renormalize": [(renormalize, hf.LogitNormalization())],
    "remove_invalid_values": [(remove_invalid_values, hf.InfNanRemoveLogitsProcessor())],
    "suppress_tokens": [
        (lambda s, i=i: SuppressTokens(ids=i)(s[:, :1].long(), s), hf.SuppressTokensLogitsProcessor(i))
        for i in ([0], [1, 0])
    ],
}

if hasattr(hf, "TopHLogitsWarper"):  # transformers 4 has none
    CASES["top_h"] = [
        (lambda s, h=h: top_h(s, h), hf.TopHLogitsWarper(h)) for h in (1e-6, 0.1, 0.4, 0.7, 0.95, 1.0)
    ]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_a_sampler_equals_the_class_of_transformers_bit_for_bit(name, dtype, batches):
    ids = torch.zeros(4, 1, dtype=torch.int64)
    for scores in batches(dtype):
        before = scores.clone()
        for ours, theirs in CASES[name]:
            got, wanted = ours(scores), theirs(ids[: len(scores)], scores)
            assert got.dtype == wanted.dtype == dtype
            assert torch.equal(got, wanted)
        assert torch.equal(scores, before), "the caller's scores were changed"


@pytest.mark.parametrize("name", CASES)
def test_a_row_alone_equals_the_row_in_a_batch(name, batches):
    for scores in batches():
        ours, _ = CASES[name][len(CASES[name]) // 2]
        assert torch.equal(ours(scores), torch.cat([ours(row) for row in scores.split(1)]))


def test_eta_holds_epsilon_in_float32_like_the_class_of_transformers():
    # 0.1 < p < float32(0.1): which of the two bounds holds decides whether the first token stays.
    p = 0.1000000007
    scores = torch.tensor([[p, 1 - p]], dtype=torch.float64).log()
    got = eta_cutoff(scores, 0.1)
    assert torch.equal(got, hf.EtaLogitsWarper(0.1)(torch.zeros(1, 1, dtype=torch.int64), scores))
    assert got[0, 0] == -torch.inf


def test_invalid_values_are_mended_as_by_the_class_of_transformers():
    for dtype in DTYPES:
        scores = torch.tensor([[1.0, torch.nan, torch.inf, -torch.inf, -2.0]], dtype=dtype)
        wanted = hf.InfNanRemoveLogitsProcessor()(None, scores)
        assert torch.equal(remove_invalid_values(scores), wanted)
        assert wanted.isfinite().all()


def test_top_h_keeps_at_least_so_many():
    scores = torch.tensor([[9.0, 0.0, -1.0, -torch.inf]])
    assert top_h(scores, 0.01).isfinite().sum() == 1
    assert top_h(scores, 0.01, min_keep=2).isfinite().tolist() == [[True, True, False, False]]
    assert torch.equal(top_h(scores, 0.01, min_keep=9), scores)


def test_top_k_with_ties_cut_leaves_exactly_k_and_prefers_small_ids():
    scores = torch.tensor([[1.0, 3.0, 2.0, 3.0, 2.0, 2.0]])
    kept = {
        k: top_k(scores, k, ties="cut").isfinite()[0].nonzero().flatten().tolist() for k in (1, 2, 3, 4, 9)
    }
    assert kept == {1: [1], 2: [1, 3], 3: [1, 2, 3], 4: [1, 2, 3, 4], 9: [0, 1, 2, 3, 4, 5]}


@pytest.mark.parametrize("k", [1, 2, 7, 100])
def test_top_k_with_ties_cut_is_a_subset_of_the_ties_kept_and_of_equal_scores(k, batches):
    for scores in batches():
        cut, keep = top_k(scores, k, ties="cut"), top_k(scores, k)
        finite = cut.isfinite()
        assert (finite.sum(-1) <= k).all()
        assert torch.equal(cut[finite], keep[finite])
        # The same scores survive, less some that tie with the k-th.
        best = scores.sort(-1, descending=True).values[:, :k]
        assert torch.equal(cut.sort(-1, descending=True).values[:, :k], best)
