"""What an effective tensor keeps of the image that it is of, and of what computed it."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy

from homfem.grid.image import Image


def provenance(image: Image) -> dict[str, Any]:
    """Return the fields of an effective tensor that tell of an image and of versions."""
    from homfem import __version__

    return {
        "method": "grid",
        "volume_fractions": image.volume_fractions,
        "interface_area": image.interface_area,
        "length_unit": image.length_unit,
        "versions": {"homfem": __version__, "numpy": np.__version__, "scipy": scipy.__version__},
    }
