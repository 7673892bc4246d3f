"""A recipe as the decoding loop of transformers' `generate`: its strategy, its steps, its stop rules.

    model.generate(**inputs, custom_generate=custom_generate, recipe="chat.yaml", max_new_tokens=60)

Like a plugin of anybody's it knows the public face of decodery alone, and that only when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..contracts.errors import CannotFollow, InvalidInput
from ..contracts.specs import resolve
from .hf_prepared import criteria_step, processors_step

DEFAULT_LENGTH = 20
"""New tokens that `generate` makes where nobody says how many."""
ITS_OWN = frozenset(
    {"use_cache", "logits_to_keep", "num_logits_to_keep", "cache_position", "encoder_outputs", "return_dict"}
)
"""What `generate` prepares for a loop of its own; a session of ours makes its own."""
CACHES = ("past_key_values", "cache", "cache_params")


def custom_generate(
    model: Any,
    input_ids: Tensor,
    logits_processor: Sequence[Any],
    stopping_criteria: Sequence[Any],
    generation_config: Any,
    recipe: Any = None,
    seed: int | None = None,
    models: Mapping[str, Any] | None = None,
    tokenizer: Any = None,
    streamer: Any = None,
    inputs_tensor: Tensor | None = None,
    **model_kwargs: Any,
) -> Any:
    """Called by `generate` with what it has prepared; the result is what `generate` returns.

    recipe     what `Decoder` takes: a path, the name of a recipe in the box, a Recipe, a Pipeline, a dict
    seed       in place of the recipe's
    models     further models by the roles that the strategy names
    tokenizer, streamer
               by `functools.partial`: `generate` hands neither to a loop that is not its own

    The processors that `generate` has prepared come before the recipe's, its stopping criteria beside the recipe's
    stop rules; its default length of 20 counts only where the recipe names no length. Raises `InvalidInput` naming an
    argument of `generate` that cannot be carried.
    """
    from decodery import Decoder  # noqa: PLC0415  # lazy: the public face, as an outsider has it

    if recipe is None:
        raise InvalidInput("custom_generate was given no recipe", remedy='generate(..., recipe="chat.yaml")')
    check_config(generation_config)
    samples = generation_config.num_return_sequences or 1
    prompts = input_ids[
        ::samples
    ]  # (B x n, T) -> (B, T): transformers repeats the rows of a prompt side by side
    inputs = model_inputs(model_kwargs, samples)
    decoder = Decoder(
        model,
        recipe,
        tokenizer=tokenizer,
        models=models,
        eos_token_id=generation_config.eos_token_id,
        pad_token_id=generation_config.pad_token_id,
    )
    _check_tokenizer(decoder.pipeline, tokenizer)
    decoder.pipeline = pipe = joined(
        decoder.pipeline, logits_processor, stopping_criteria, generation_config, prompts.shape[1]
    )
    encodes = bool(model.config.is_encoder_decoder)
    ranks = pipe.effective_strategy.spec.ranks
    texts: Any = prompts
    if encodes:
        texts, inputs = _encoded(model, inputs_tensor, inputs)
    gen = decoder.generate(
        texts,
        n=samples if samples > 1 else None,
        seed=seed,
        return_scores=keeps_scores(generation_config) and not ranks,
        model_inputs=inputs,
        decoder_prompts=prompts.tolist() if encodes else None,
        on_event=None if streamer is None else _shown(streamer, prompts),
    )
    if "interrupted" in gen.finish_reasons:  # whoever presses Ctrl-C in generate expects the exception
        raise KeyboardInterrupt
    if streamer is not None:
        streamer.end()
    sequences = _sequences(prompts, gen.tokens, gen.pad)
    if not generation_config.return_dict_in_generate:
        return sequences
    scores = None if gen.scores is None else _steps(gen.scores, gen.pad)
    return _output(encodes, sequences, scores, gen.sequence_scores if ranks else None)


def check_config(config: Any) -> None:
    """Raises `InvalidInput` for what a recipe says in its own way, or what the bridge does not keep."""
    mode = config.get_generation_mode().value
    if mode not in ("greedy_search", "sample"):
        raise InvalidInput(
            f"generate was asked for {mode}, which is the recipe's to say",
            remedy="name the strategy in the recipe, for example strategy: {beam: {num_beams: 4}}",
        )
    for name in ("output_attentions", "output_hidden_states", "output_logits"):
        if config.return_dict_in_generate and getattr(config, name, None):
            raise InvalidInput(f"{name} is not kept by custom_generate", remedy="output_scores is")


def keeps_scores(config: Any) -> bool:
    return bool(config.return_dict_in_generate and config.output_scores)


def model_inputs(prepared: Mapping[str, Any], samples: int) -> dict[str, Any]:
    """What the model is given beside the ids, a line a prompt. Raises `InvalidInput` for what a session cannot take."""
    inputs = {name: value for name, value in prepared.items() if value is not None and name not in ITS_OWN}
    for name in CACHES:
        cache = inputs.pop(name, None)
        if cache is not None and (not hasattr(cache, "get_seq_length") or cache.get_seq_length()):
            raise InvalidInput(f"{name} holds tokens already, and custom_generate begins with the prompt")
    if "inputs_embeds" in inputs:
        raise InvalidInput(
            "inputs_embeds cannot be decoded by custom_generate",
            remedy="give input_ids, or the processors alone: logits_processor=pipe.to_hf()",
        )
    inputs = {
        name: value[::samples] if isinstance(value, Tensor) and value.ndim else value
        for name, value in inputs.items()
    }
    mask, positions = inputs.get("attention_mask"), inputs.pop("position_ids", None)
    if positions is not None:
        seen = torch.ones_like(positions) if mask is None else mask
        usual = seen.cumsum(-1) - 1
        if positions.shape != usual.shape or not torch.equal(positions * seen, usual * seen):
            raise InvalidInput("position_ids other than a text's own cannot be decoded by custom_generate")
    hidden = inputs.pop("decoder_attention_mask", None)
    if hidden is not None and not bool((hidden == 1).all()):
        raise InvalidInput(
            "decoder_attention_mask hides tokens", remedy="give decoder_input_ids of one length"
        )
    return inputs


def joined(pipe: Any, processors: Sequence[Any], criteria: Sequence[Any], config: Any, prompt: int) -> Any:
    """The pipeline with what `generate` has prepared: its processors first, its criteria beside the stop rules."""
    from decodery import Pipeline  # noqa: PLC0415  # lazy, likewise

    pad = 0 if config.pad_token_id is None else config.pad_token_id
    processors, criteria = list(processors), list(criteria)
    # A recipe that says nothing of its end leaves it to generate.
    stops = () if pipe.effective_stops == Pipeline().effective_stops else pipe.stops
    if any(rule.spec.name in ("max_new_tokens", "max_length") for rule in stops):
        unasked = config.max_new_tokens is None
        default = prompt + DEFAULT_LENGTH
        criteria = [c for c in criteria if not (unasked and getattr(c, "max_length", None) == default)]
    if processors:
        use = pipe.effective_strategy
        if not hasattr(resolve(use.spec.factory, use.spec.name), "choose"):
            names = ", ".join(type(each).__name__ for each in processors)
            raise CannotFollow(
                f"strategy {use.spec.name!r} moves rows, which {names} of generate's cannot follow",
                remedy="say them in the recipe, and to generate: generation_config=GenerationConfig(eos_token_id=...)",
            )
        pipe = replace(pipe, processors=(processors_step(processors, prompt, pad), *pipe.processors))
    if criteria:
        stops = (*stops, criteria_step(criteria, prompt, pad, keeps_scores(config)))
    return replace(pipe, stops=tuple(stops))


def _check_tokenizer(pipe: Any, tokenizer: Any) -> None:
    steps = [step.spec.name for step in (*pipe.processors, *pipe.stops) if "tokenizer" in step.spec.needs]
    if steps and tokenizer is None:
        raise InvalidInput(
            f"{', '.join(map(repr, steps))} needs a tokenizer, which generate does not hand on",
            remedy="custom_generate=functools.partial(custom_generate, tokenizer=tokenizer)",
        )


def _encoded(model: Any, given: Tensor | None, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """What an encoder-decoder's encoder reads: ids as prompts, features among the model's inputs."""
    if given is None:
        raise InvalidInput(
            "encoder_outputs alone cannot be decoded by custom_generate", remedy="give input_ids"
        )
    name = model.main_input_name
    return (given, inputs) if name == "input_ids" else (None, {**inputs, name: given})


def _shown(streamer: Any, prompts: Tensor) -> Callable[[Any], None]:
    """A callback that shows each token to `streamer`, which is shown the prompt first."""
    if len(prompts) != 1:
        raise InvalidInput(f"a streamer shows one text, not {len(prompts)}")
    streamer.put(prompts.cpu())
    return lambda event: streamer.put(torch.tensor([event.token]))


def _sequences(prompts: Tensor, tokens: Sequence[Sequence[int]], pad: int) -> Tensor:
    """(B, T) int64 and the new tokens of R rows, R / B a prompt -> (R, T + N), right-padded."""
    width = max(map(len, tokens))
    new = [[*row, *[pad] * (width - len(row))] for row in tokens]
    begun = prompts.repeat_interleave(len(tokens) // len(prompts), dim=0)  # (B, T) -> (R, T)
    return torch.cat((begun, torch.tensor(new, dtype=prompts.dtype, device=prompts.device)), dim=1)


def _steps(scores: Sequence[Tensor], pad: int) -> tuple[Tensor, ...]:
    """R x (N, V) -> N x (R, V); behind its end a row is sure of the pad id."""
    steps = []
    for place in range(max(map(len, scores))):
        rows = []
        for row in scores:
            ended = torch.full_like(row[0], -torch.inf)
            ended[pad] = 0.0
            rows.append(row[place] if place < len(row) else ended)
        steps.append(torch.stack(rows))  # R x (V,) -> (R, V)
    return tuple(steps)


def _output(
    encodes: bool, sequences: Tensor, scores: tuple[Tensor, ...] | None, ranks: list[float] | None
) -> Any:
    """transformers' own record of a result."""
    from transformers.generation import utils  # noqa: PLC0415  # lazy: it takes seconds

    kind = "EncoderDecoder" if encodes else "DecoderOnly"
    if ranks is None:
        return getattr(utils, f"Generate{kind}Output")(sequences=sequences, scores=scores)
    ranked = torch.tensor(ranks, device=sequences.device)
    return getattr(utils, f"GenerateBeam{kind}Output")(sequences=sequences, sequences_scores=ranked)
