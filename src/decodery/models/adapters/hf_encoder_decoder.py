"""transformers' encoder-decoders: what they say of themselves, and whether their cache is true."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from ...contracts.errors import ModelError
from ...contracts.protocols import Capabilities, EncoderFacts, ModelFacts, Options
from ..calling import Call, module_of, name_of, read_call
from ..facts import facts_of, first_number
from ..hf_caches import cache_argument, head_width, keeps_everything
from ..keeping.module import EvalMode
from ..options import check_options, check_width, told_width
from ..probing.prove import Proof, lied, prove_beside_encoder, proved
from .hf_encoder_decoder_session import HfEncoderDecoderSession

DECODER_CONTEXT = ("max_target_positions", "max_decoder_position_embeddings", "max_position_embeddings")
ENCODER_CONTEXT = ("max_encoder_position_embeddings", "max_position_embeddings")


def probe(model: object, options: Options) -> str | None:
    """A `PreTrainedModel` that can generate and says that it is an encoder-decoder."""
    # Whoever made such an object has imported this module already; nobody else should have to wait for it.
    modeling = sys.modules.get("transformers.modeling_utils")
    module = module_of(model)
    if modeling is None or not isinstance(module, modeling.PreTrainedModel) or not module.can_generate():
        return None
    accepts = read_call(model).accepts
    if not getattr(module.config, "is_encoder_decoder", False) or not cache_argument(accepts):
        return None
    if not {"decoder_input_ids", "encoder_outputs"} <= accepts:
        return None
    return (
        f"{name_of(model)} is a transformers encoder-decoder that generates, with {cache_argument(accepts)}"
    )


class HfEncoderDecoder:
    """Opens sessions on an encoder-decoder transformers model. Raises `ModelError` for one that is none.

    Its cache is proved once a module, where the encoder takes ids; one that lies is not used. Options:
    `decoder_start_token_id`, where neither the configuration nor its bos says it; `verify` (False to trust the cache).
    """

    trusted = True  # what detection would ask is proved here

    def __init__(self, model: Callable[..., Any], options: Options) -> None:
        check_options(
            options, "hf_encoder_decoder", ("decoder_start_token_id", "verify"), without=("time_first",)
        )
        if probe(model, options) is None:
            raise ModelError(
                f"{name_of(model)} is no transformers encoder-decoder that generates",
                remedy="adapter='auto' finds out what it is",
            )
        module: Any = module_of(model)
        self.model, self.config = model, module.config
        accepts = read_call(model).accepts
        self.call = Call(tokens="decoder_input_ids", accepts=accepts, pick=options.get("logits"))
        self.cache_argument = cache_argument(accepts)
        self.evaluation = EvalMode(module)
        self.encoder: Any = module.get_encoder()
        self.features = str(getattr(self.encoder, "main_input_name", module.main_input_name))
        self.encoder_accepts = read_call(self.encoder).accepts
        self.width = told_width(options)
        check_width(self.width, head_width(module) if self.call.pick is None else None, name_of(model))
        self._facts = self._read_facts(module, options)
        self.cached, self.compared, self.evidence = True, 0, ""
        self.difference: float | None = None
        self.warnings: tuple[str, ...] = ()
        if options.get("verify", True):
            self._adopt(proved(self, f"{self.call.pick!r}, {self.width}", prove_beside_encoder))

    @property
    def facts(self) -> ModelFacts:
        return self._facts

    def open(self, batch_size: int, length: int | None) -> HfEncoderDecoderSession:
        return HfEncoderDecoderSession(self)

    def begin(self, rows: int, length: int, model: Callable[..., Any]) -> HfEncoderDecoderSession:
        """A session that calls `model`, the one inside of a wrapper for example."""
        return HfEncoderDecoderSession(self, model)

    def _adopt(self, proof: Proof) -> None:
        name = name_of(self.model)
        if proof.untried:
            self.evidence = f"not verified, as {proof.untried}"
        elif proof.difference > proof.allowed:
            self.cached, self.evidence = False, "the decoder's whole text is fed each step"
            self._facts = replace(
                self._facts,
                capabilities=Capabilities(select=True, hidden=True, rewind="uniform", rewind_by="crop"),
            )
            self.warnings = (lied(name, self.cache_argument, proof) + ": it is not used",)
        else:
            self.difference, self.compared = proof.difference, proof.compared
            if proof.padded > proof.allowed:
                self.warnings = (
                    f"{name} answers otherwise for a prompt that is padded (log-probabilities differ by "
                    f"{proof.padded:.3g}): give prompts of one length, or one prompt a call",
                )

    def new_cache(self) -> Any:
        """What `generate` starts from: an empty cache for self-attention, another for cross-attention."""
        # Late, to keep transformers out of the start-up of everything else.
        from transformers.cache_utils import DynamicCache, EncoderDecoderCache  # noqa: PLC0415

        config = self.config.get_text_config(decoder=True)
        return EncoderDecoderCache(DynamicCache(config=config), DynamicCache(config=config))

    def _read_facts(self, module: Any, options: Options) -> ModelFacts:
        config, decoder = self.config, getattr(self.config, "decoder", None)
        generation = getattr(module, "generation_config", None)
        sources = [s for s in (generation, config.get_text_config(decoder=True), config) if s is not None]
        rewinds = keeps_everything(self.new_cache())
        capabilities = Capabilities(select=True, hidden=True, rewind="uniform" if rewinds else "none")
        facts = facts_of(model=self.model, options=options, capabilities=capabilities, sources=sources)
        if "max_length" not in options:
            # Beside an own configuration `n_positions` is T5's, whose relative positions have no end.
            own = [] if decoder is None else [decoder]
            names = (*DECODER_CONTEXT, "n_positions") if own else DECODER_CONTEXT
            facts = replace(facts, max_length=first_number(names, own or [config]))
        starts = [options, generation, config]
        start = next((n for s in starts if (n := _id(s, "decoder_start_token_id")) is not None), facts.bos)
        embedded = _embedded(self.encoder)
        encoder = EncoderFacts(
            start=start,
            max_length=first_number(ENCODER_CONTEXT, [getattr(self.encoder, "config", config)]),
            vocab_size=embedded,
            takes_ids=self.features == "input_ids",
            repeats=True,
        )
        return replace(facts, encoder=encoder)


def _id(source: Any, name: str) -> int | None:
    value = source.get(name) if isinstance(source, Mapping) else getattr(source, name, None)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _embedded(encoder: Any) -> int | None:
    """The encoder's vocabulary, where it embeds ids."""
    try:
        table = encoder.get_input_embeddings()
    except (NotImplementedError, AttributeError):
        return None
    return table.num_embeddings if isinstance(table, nn.Embedding) else None
