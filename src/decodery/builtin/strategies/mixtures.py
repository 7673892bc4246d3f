"""How logits of several runs become one set of scores: the formulas alone, all (R, V) -> (R, V)."""

from __future__ import annotations

from torch import Tensor


def cfg(conditional: Tensor, unconditional: Tensor, guidance_scale: float) -> Tensor:
    """Classifier-free guidance: away from what the model says without the prompt, or with a negative one.

    `u + guidance_scale * (c - u)` on log-probabilities (Sanchez et al. 2023, arXiv 2306.17806; transformers'
    UnbatchedClassifierFreeGuidanceLogitsProcessor).
    """
    conditional = conditional.log_softmax(-1)
    unconditional = unconditional.log_softmax(-1)
    return guidance_scale * (conditional - unconditional) + unconditional


def contrastive(expert: Tensor, amateur: Tensor, alpha: float, beta: float) -> Tensor:
    """Contrastive decoding: what the expert says more than the amateur, among what the expert finds plausible.

    `(1 + beta) * e - beta * a` on logits where `p_e >= alpha * max p_e`, else banned (O'Brien and Lewis 2023, arXiv
    2309.09117, whose beta leaves the temperature alone; Li et al. 2023, arXiv 2210.15097, for the plausible set).
    """
    plausible = expert.log_softmax(-1)
    scores = (1 + beta) * expert - beta * amateur
    if alpha == 0:
        return scores
    bound = plausible.amax(-1, keepdim=True) + expert.new_tensor(alpha).log()
    return scores.masked_fill(plausible < bound, float("-inf"))


def context_aware(with_context: Tensor, without: Tensor, alpha: float) -> Tensor:
    """Context-aware decoding: more of what the context adds. `(1 + alpha) * w - alpha * o` on logits (Shi et al. 2023,
    arXiv 2305.14739)."""
    return (1 + alpha) * with_context - alpha * without


def experts(base: Tensor, expert: Tensor, anti_expert: Tensor, alpha: float) -> Tensor:
    """DExperts: `z + alpha * (z_expert - z_anti)` on logits (Liu et al. 2021, arXiv 2105.03023)."""
    return base + alpha * (expert - anti_expert)
