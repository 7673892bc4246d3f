"""Detectors of the watermarks that the steps `watermark` and `synthid_watermark` write."""

from .evidence import Evidence
from .green import detect_watermark
from .tournament import detect_synthid_watermark

__all__ = ["DETECTORS", "Evidence", "detect_synthid_watermark", "detect_watermark"]

DETECTORS = {"watermark": detect_watermark, "synthid_watermark": detect_synthid_watermark}
"""The step -> the function that finds what it wrote: `(rows, *, vocab_size, prompts, device, **parameters of the
step)`."""
