"""What plugins implement, and what they are handed. Shapes and dtypes are part of the contract.

Letters: R rows of the run (prompts x samples, or beams), T tokens, V vocabulary, K tokens at once.
ids are int64, scores float32 or float64 on the logits' device, `-inf` means banned.
"""

from .facts import Capabilities, EncoderFacts, ModelFacts
from .observer import Observer, ScoreObserver, StepObserver, TokenObserver
from .random import Rng, RunRng
from .run import Run
from .session import DecodableModel, Options, Session, StaticSession, WatchedSession
from .steps import Processor, RaggedProcessor, StopRule
from .strategy import Strategy, TokenStrategy
from .tokenizer import Tokenizer

__all__ = [
    "Capabilities",
    "DecodableModel",
    "EncoderFacts",
    "ModelFacts",
    "Observer",
    "Options",
    "Processor",
    "RaggedProcessor",
    "Rng",
    "Run",
    "RunRng",
    "ScoreObserver",
    "Session",
    "StaticSession",
    "StepObserver",
    "StopRule",
    "Strategy",
    "TokenObserver",
    "TokenStrategy",
    "Tokenizer",
    "WatchedSession",
]
