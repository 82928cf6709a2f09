"""Colours of pictures: of the phases, and of a field."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from homfem.output import skins

#: Colours of the phases in their order (Okabe and Ito: told apart by every eye), and of a corrector.
COLOURS = ("#D55E00", "#56B4E9", "#009E73", "#CC79A7", "#F0E442", "#0072B2", "#E69F00", "#999999")
MAP = "coolwarm"


def colour_range(surfaces: Mapping[str, skins.Surface]) -> tuple[float, float]:
    """Return limits of the colours: symmetric about zero where the corrector has both signs."""
    all_values = np.concatenate([[0.0], *(s.values for s in surfaces.values() if s.values is not None)])
    all_values = all_values[np.isfinite(all_values)]
    reach = float(np.abs(all_values).max()) or 1.0
    return (-reach, reach) if all_values.min() < 0 < all_values.max() else (all_values.min(), all_values.max() or 1.0)
