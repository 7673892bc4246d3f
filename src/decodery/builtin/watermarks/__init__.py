"""Detectors of the watermarks that the steps `watermark` and `synthid_watermark` write."""

from ...contracts.watermarks import Evidence
from .green import detect_watermark
from .tournament import detect_synthid_watermark

__all__ = ["Evidence", "detect_synthid_watermark", "detect_watermark"]
