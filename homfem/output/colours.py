"""Colours of every picture: of phases, of fields, and of the ground. This module alone decides.

Phases have the colours of Okabe and Ito, told apart by every eye. A field of one sign has a sequential map, one of both
signs a diverging map whose middle is zero. Equal steps of the field are steps that look equal: viridis is made for that
in CAM02-UCS, the diverging map in CIELAB.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.parameters import Array, check_choice

#: Colours of the phases in their order.
COLOURS = ("#D55E00", "#56B4E9", "#009E73", "#CC79A7", "#F0E442", "#0072B2", "#E69F00", "#999999")
#: Colours of lines: those of the phases without yellow, which a white ground swallows, and grey, that of limits.
LINES = tuple(colour for colour in COLOURS if colour not in ("#F0E442", "#999999"))
#: Map of what has one sign, by matplotlib's name.
SEQUENTIAL = "viridis"
#: What is this small against the largest gives a field no second sign: it is an error of the elements, or round-off.
SECOND_SIGN = 1e-3

# From blue over near-white to red, in sRGB; both arms are as dark at their ends.
_BALANCE = ("#0B2F6B", "#2F72B4", "#8DBBDB", "#F6F6F6", "#EBA088", "#BF4740", "#681220")


@dataclass(frozen=True, kw_only=True, slots=True)
class Theme:
    """The ground of a picture and what is written on it, as colours.

    Parameters
    ----------
    ground, ink
        Of the paper, and of words and lines.
    faint
        Of frames and of what is at rest.
    void
        Of the places where a field is not defined.
    """

    ground: str
    ink: str
    faint: str
    void: str


#: The grounds by name. Both print: the dark one is not black, its words not white.
THEMES = {
    "light": Theme(ground="#FFFFFF", ink="#1A1A1A", faint="#8C8C8C", void="#D9D9D9"),
    "dark": Theme(ground="#16191F", ink="#E8E8E8", faint="#808892", void="#3C424C"),
}


def theme_of(name: str) -> Theme:
    """Return the colours of a ground by its name."""
    check_choice("theme", name, list(THEMES))
    return THEMES[name]


@dataclass(frozen=True, kw_only=True, slots=True)
class ColourScale:
    """Colours of a field: a map of matplotlib and the values at its two ends."""

    colormap: Any
    low: float
    high: float

    @property
    def norm(self) -> Any:
        """Matplotlib's norm of the values."""
        from matplotlib.colors import Normalize

        return Normalize(self.low, self.high)

    @property
    def mappable(self) -> Any:
        """What a colour bar of matplotlib is made from."""
        from matplotlib.cm import ScalarMappable

        return ScalarMappable(self.norm, self.colormap)

    def rgba(self, values: npt.ArrayLike) -> Array:
        """Return the colours of values, shape (..., 4), those of the colour bar."""
        from matplotlib import colormaps

        colormap = colormaps[self.colormap] if isinstance(self.colormap, str) else self.colormap
        return np.asarray(colormap(self.norm(np.asarray(values, dtype=np.float64))))


def colour_scale(
    values: npt.ArrayLike, *, limits: tuple[float, float] | None = None, colormap: str | None = None
) -> ColourScale:
    """Return the colours of a field; what is not finite counts for nothing.

    Parameters
    ----------
    values
        The values to be drawn, of any shape.
    limits
        Values at the ends. Default: from zero to the largest value where the field has one sign, symmetric about zero
        where it has both.
    colormap
        Name of a map of matplotlib, or ``"balance"``, the diverging one. Default: by the signs of the values.

    Example
    -------
    >>> scale = colour_scale([0.0, 1.0, 3.0])
    >>> scale.colormap, scale.low, scale.high
    ('viridis', 0.0, 3.0)
    >>> scale = colour_scale([-1.0, 3.0, float("nan")])
    >>> scale.colormap.name, scale.low, scale.high
    ('balance', -3.0, 3.0)
    """
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    reach = max(abs(low), abs(high)) or 1.0
    negative, positive = low < -SECOND_SIGN * reach, high > SECOND_SIGN * reach
    if negative and positive:
        chosen, ends = "balance", (-reach, reach)
    elif negative:
        chosen, ends = SEQUENTIAL + "_r", (-reach, 0.0)
    else:
        chosen, ends = SEQUENTIAL, (0.0, reach)
    name = colormap or chosen
    low, high = limits or ends
    return ColourScale(colormap=diverging() if name == "balance" else name, low=low, high=high)


@lru_cache(maxsize=1)
def diverging() -> Any:
    """Return the diverging map: blue, near-white in the middle, red.

    In CIELAB it runs through its colours with constant speed, and both arms are of one length.
    """
    from matplotlib.colors import ListedColormap, to_rgb

    fixed = lab(np.array([to_rgb(colour) for colour in _BALANCE]))
    path = _smooth(fixed, 4001)
    middle = len(path) // 2
    arms = []
    for arm in (path[: middle + 1], path[middle:]):
        length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(arm, axis=0), axis=1))])
        even = np.linspace(0.0, length[-1], 129)
        arms.append(np.stack([np.interp(even, length, arm[:, k]) for k in range(3)], axis=1))
    colours = srgb(np.concatenate([arms[0][:-1], arms[1]]))
    return ListedColormap(np.clip(colours, 0.0, 1.0).tolist(), name="balance")


def _smooth(fixed: Array, number: int) -> Array:
    """So many points on a curve through the given ones that does not overshoot."""
    from scipy.interpolate import PchipInterpolator

    last = len(fixed) - 1
    return np.asarray(PchipInterpolator(np.arange(last + 1), fixed, axis=0)(np.linspace(0.0, last, number)))


# sRGB to the CIE's X, Y, Z over those of white (D65).
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_TO_XYZ /= _TO_XYZ.sum(axis=1, keepdims=True)


def lab(colours: npt.ArrayLike) -> Array:
    """Return L, a, b (CIE 1976) of colours in sRGB, shape (..., 3)."""
    rgb = np.asarray(colours, dtype=np.float64)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    ratio = linear @ _TO_XYZ.T
    root = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], axis=-1)


def srgb(colours: npt.ArrayLike) -> Array:
    """Return the colours in sRGB of L, a, b, shape (..., 3); those outside of sRGB are outside of 0 to 1."""
    light, a, b = np.moveaxis(np.asarray(colours, dtype=np.float64), -1, 0)
    y = (light + 16.0) / 116.0
    root = np.stack([y + a / 500.0, y, y - b / 200.0], axis=-1)
    ratio = np.where(root > 6 / 29, root**3, 3 * (6 / 29) ** 2 * (root - 4 / 29))
    linear = ratio @ np.linalg.inv(_TO_XYZ).T
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.abs(linear) ** (1 / 2.4) - 0.055)
