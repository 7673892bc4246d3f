"""What is known of a model, and what its sessions can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a session can do.

    masks   prompts of unequal length may be left-padded: attention_mask and positions are honoured
    select  rows of the session's state can be reordered, repeated and dropped
    rewind  tokens can be taken back: by a count a row (ragged), one count for all (uniform), or not at all
    rewind_by
            what that costs: nothing where the state is cropped or a counter set back, a forward over all that is
            left where it is a replay; "" where nobody says
    static  the state has fixed addresses, so that a step can be captured in a CUDA graph
    hidden  the outputs of layers can be told: `watch` and `hidden`
    shared  several sessions may be open at once; without it a second one ends the first
    pads    a left-padded rectangle and its mask are taken, whatever becomes of the rows: what `compat: hf` asks
    """

    masks: bool = False
    select: bool = False
    rewind: Literal["ragged", "uniform", "none"] = "none"
    rewind_by: Literal["", "crop", "counter", "replay"] = ""
    static: bool = False
    hidden: bool = False
    shared: bool = True
    pads: bool = False


@dataclass(frozen=True, slots=True)
class EncoderFacts:
    """The encoder's side of an encoder-decoder, to which prompts go. None where an adapter cannot know.

    start       the token that every decoder prompt begins with
    max_length  the encoder's longest prompt
    takes_ids   prompts are token ids; otherwise they are features, which come as model inputs
    repeats     where prefill gets fewer rows for the encoder than for the decoder, each is encoded once and serves
                as many decoder rows, which stand together
    """

    start: int | None = None
    max_length: int | None = None
    vocab_size: int | None = None
    takes_ids: bool = True
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What an adapter knows of its model. None where it cannot know; `encoder` None means there is none, and
    the other facts are the decoder's. `layers` are those whose outputs can be watched, the embeddings not counted;
    `tied`: the output layer is the embeddings'."""

    vocab_size: int | None
    max_length: int | None
    device: torch.device
    dtype: torch.dtype
    capabilities: Capabilities = Capabilities()
    eos: tuple[int, ...] = ()
    bos: int | None = None
    pad: int | None = None
    encoder: EncoderFacts | None = None
    layers: int | None = None
    tied: bool = False
