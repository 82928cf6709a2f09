"""Sheets of matplotlib that pictures are drawn on: without a display, on a light or a dark ground, in three formats."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

from homfem.output.colours import Theme, theme_of
from homfem.parameters import FileError

log = logging.getLogger("homfem")

#: What a picture may be, by the end of its name. In PDF and SVG lines and words stay lines and words.
FORMATS = (".png", ".pdf", ".svg")
#: Pixels per inch of a PNG file, and of what is drawn in pixels inside of the others.
DPI = 140
#: Points; words shrink to this at the least to stay on the sheet.
SMALLEST = 5.0


def check_figure(path: str | Path) -> Path:
    """Return the path of a picture.

    Raises
    ------
    FileError
        For a name that ends in none of :data:`FORMATS`, and a folder that does not exist.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise FileError("path", str(path), "a name that ends in .png, .pdf or .svg")
    if not path.parent.is_dir():
        raise FileError("path", str(path), "in an existing directory")
    return path


@contextmanager
def styled(theme: str = "light", *, points: float = 10.0) -> Iterator[Theme]:
    """Within it matplotlib draws on such a ground, letters of so many points; what was set before holds afterwards."""
    import matplotlib as mpl

    colours = theme_of(theme)
    ink = dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color"),
        colours.ink,
    )
    ground = dict.fromkeys(
        ("figure.facecolor", "axes.facecolor", "savefig.facecolor", "savefig.edgecolor", "legend.facecolor"),
        colours.ground,
    )
    # Words stay words in PDF and SVG, and every run writes the same file.
    rest = {
        "legend.edgecolor": colours.faint,
        "grid.color": colours.faint,
        "svg.fonttype": "none",
        "pdf.fonttype": 42,
        "svg.hashsalt": "homfem",
        "font.size": points,
        "axes.titlesize": 1.1 * points,
        "axes.titleweight": "normal",
        "axes.formatter.useoffset": False,
    }
    with mpl.rc_context({**ink, **ground, **rest}):
        yield colours


def sheet(width: float, height: float, **options: Any) -> Any:
    """Return an empty figure of so many inches; further options are matplotlib's."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, **options)
    FigureCanvasAgg(figure)
    return figure


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """What is written beside a picture.

    Parameters
    ----------
    title
        Above it; broken into lines where it is long.
    label
        Of the colour bar, likewise; None where there is no bar.
    names
        Of the phases in the legend.
    """

    title: str = ""
    label: str | None = None
    names: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """A figure with one picture of given shape, and beside it room for a colour bar and a legend.

    Parameters
    ----------
    figure, axes, bar
        Of matplotlib; the bar is None where none was asked for.
    key
        Left and upper end of the legend, as fractions of the figure.
    label
        Of the bar, in lines that it has room for.
    """

    figure: Any
    axes: Any
    bar: Any
    key: tuple[float, float]
    label: str


#: Width of a letter, at most on the average, and the height of a line, in units of the size of the letters.
_LETTER, _LINE = 0.62, 1.35


def letters_for(size: tuple[int, int]) -> float:
    """Return the points of the letters on a sheet of so many pixels, for :func:`styled`."""
    wide, high = (pixels / DPI for pixels in size)
    return 10.0 * min(max(min(wide / 7.0, high / 5.5), 0.5), 1.25)


def laid_out(
    shape: tuple[float, float], size: tuple[int, int], words: Words, *, framed: bool = True, fill: bool = False
) -> Layout:
    """Return a sheet on which everything has its place: nothing overlaps, nothing is cut off; within :func:`styled`.

    Parameters
    ----------
    shape
        Width and height of the picture in any unit.
    size
        Pixels that the sheet may have.
    words
        What is written.
    framed
        Whether the picture has axes with ticks and labels.
    fill
        Whether the sheet has exactly ``size``; else it is as large as the picture and the words need within it.
    """
    wide, high = (pixels / DPI for pixels in size)
    points = letters_for(size)
    em, pads = points / 72.0, 12.0 / 72.0
    left, low = (5.2 * em + pads, 2.8 * em + pads) if framed else (1.0 * em, 1.0 * em)
    title = broken(words.title, wide - 2.0 * em, 1.1 * em)
    top = (1.0 + 1.1 * _LINE * (title.count("\n") + 1 if title else 0)) * em
    room = high - low - top
    label = broken(words.label or "", 0.8 * room, em)
    bar = 0.0 if words.label is None else (7.4 + _LINE * (label.count("\n") + 1)) * em + 0.5 * pads
    key = (2.8 + _LETTER * max(map(len, words.names))) * em if words.names else 0.0
    right = max(bar, key) + 1.0 * em
    scale = max(min((wide - left - right) / shape[0], room / shape[1]), 1e-12)
    across, up = scale * shape[0], scale * shape[1]
    keyed = (1.9 * len(words.names) + 0.8) * em if words.names else 0.0
    if not fill:
        letters = max(map(len, title.split("\n")))
        wide = min(wide, max(left + across + right, (1.1 * _LETTER * letters + 2.0) * em))
        tall = max(up, keyed + (0.0 if words.label is None else 1.25 * em * _LETTER * max(map(len, label.split("\n")))))
        high = min(high, low + tall + top)
    figure = sheet(wide, high)
    x, y = left + 0.5 * (wide - left - right - across), low + 0.5 * (high - low - top - up)
    axes = figure.add_axes((x / wide, y / high, across / wide, up / high))
    if title:
        figure.text(0.5, 1.0 - 0.6 * em / high, title, ha="center", va="top", fontsize=1.1 * points, linespacing=1.2)
    place, free = x + across + 1.5 * em, high - low - top - keyed
    length = min(max(up - keyed, 12.0 * em, 1.1 * em * _LETTER * max(map(len, label.split("\n")))), free)
    bottom = low + 0.5 * (free - length)
    cax = None
    if words.label is not None:
        cax = figure.add_axes((place / wide, (bottom + 0.03 * length) / high, 1.1 * em / wide, 0.94 * length / high))
    corner = (place - 0.4 * em) / wide, (max(y + up, low + free + keyed if up < keyed + length else 0.0)) / high
    return Layout(figure=figure, axes=axes, bar=cax, key=corner, label=label)


def broken(text: str, width: float, em: float) -> str:
    """Return a text in lines that are not wider than so many inches, with letters of a size in inches."""
    letters = max(int(width / (_LETTER * em)), 12)
    return "\n".join("\n".join(wrap(line, letters)) for line in text.split("\n"))


def save(figure: Any, path: str | Path) -> None:
    """Write a figure; words that would leave the sheet are set smaller."""
    keep_inside(figure)
    metadata = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}.get(Path(path).suffix.lower())
    figure.savefig(path, metadata=metadata)
    log.info("figure: %s", path)


def keep_inside(figure: Any) -> None:
    """Set words smaller until all are inside of the sheet, but not below :data:`SMALLEST` points."""
    for _ in range(12):
        figure.draw_without_rendering()
        outside = [text for text in words_of(figure) if _overhang(figure, text) > 0.5]
        outside = [text for text in outside if text.get_fontsize() > SMALLEST]
        if not outside:
            return
        for text in outside:
            text.set_fontsize(max(SMALLEST, 0.9 * text.get_fontsize()))


def words_of(figure: Any) -> list[Any]:
    """Return every visible word of a figure that has been laid out."""
    from matplotlib.text import Text

    shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    hidden = {id(text) for axes in figure.axes if not axes.axison for text in _on_axes(axes)}
    ticks = {id(text) for axes in figure.axes for text in _unused_ticks(axes)}
    return [text for text in shown if id(text) not in hidden | ticks]


def _on_axes(axes: Any) -> list[Any]:
    return [*axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label, axes.yaxis.label]


def _unused_ticks(axes: Any) -> list[Any]:
    """Labels of ticks outside of the axes, which matplotlib keeps and does not draw."""
    found = []
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        slack = 1e-9 * (high - low)
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
            if not low - slack <= tick.get_loc() <= high + slack:
                found += [tick.label1, tick.label2]
    return found


def _overhang(figure: Any, text: Any) -> float:
    """By how many pixels a text leaves the sheet."""
    box = text.get_window_extent()
    width, height = figure.bbox.size
    return float(max(-box.x0, -box.y0, box.x1 - width, box.y1 - height))


def nice_number(target: float) -> float:
    """Return the largest of 1, 2, 5 times a power of ten that is not above ``target`` (> 0).

    Example
    -------
    >>> nice_number(99.0), nice_number(0.07)
    (50.0, 0.05)
    """
    power = 10.0 ** math.floor(math.log10(target))
    return max(step * power for step in (1.0, 2.0, 5.0) if step * power <= target * (1 + 1e-12))
