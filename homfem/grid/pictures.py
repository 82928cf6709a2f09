"""Pictures: PNG, BMP and JPEG, read by Pillow as what their ending says and as nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.grid.found import Found, reading, refusal, require_room, upright

_FORMATS = {".png": "PNG", ".bmp": "BMP", ".jpg": "JPEG", ".jpeg": "JPEG"}
LOSSY = (
    "JPEG changed the grey levels of the image: they are not those that were measured, and phases blur at their edges"
)


def read_picture(path: Path) -> Found:
    """Return the levels of a picture, or its indices into a palette."""
    from PIL import Image as Picture

    name = _FORMATS[path.suffix.lower()]
    kind = f"a {name} image"
    with reading(path, kind), strictly():
        with Picture.open(path, formats=(name,)) as picture:
            require_room(path, picture.size, 4)
            if getattr(picture, "n_frames", 1) > 1:
                raise refusal(path, f"{kind} with one picture", f"It has {picture.n_frames}.")
            picture.verify()  # the sums of all parts, to the end of the file
        with Picture.open(path, formats=(name,)) as picture:
            picture.load()
            palette = picture.mode == "P"
            if picture.mode in ("LA", "PA", "RGB", "RGBA"):
                array = grey(path, np.asarray(picture.convert("RGBA")))
            elif picture.mode in ("1", "L", "P", "I", "F") or picture.mode.startswith("I;16"):
                array = np.asarray(picture)
            else:
                raise refusal(path, f"{kind} of grey levels or labels", f"Its colours are {picture.mode}.")
    return Found(upright(array), palette=palette, warnings=(LOSSY,) if name == "JPEG" else ())


@contextmanager
def strictly() -> Iterator[None]:
    """Let Pillow refuse what is cut short, whatever it was told before; how large a picture may be is decided here."""
    from PIL import Image as Picture
    from PIL import ImageFile

    before = (ImageFile.LOAD_TRUNCATED_IMAGES, Picture.MAX_IMAGE_PIXELS)
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    Picture.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    except Warning as told:
        raise ValueError(str(told)) from told
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES, Picture.MAX_IMAGE_PIXELS = before


def grey(path: Path, colours: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the grey levels of colours (..., 3 or 4) that are grey and opaque."""
    red, green, blue = colours[..., 0], colours[..., 1], colours[..., 2]
    if not (np.array_equal(red, green) and np.array_equal(red, blue)):
        raise refusal(path, "an image of grey levels or labels", "This one is coloured.")
    if colours.shape[-1] == 4 and colours[..., 3].min() < np.iinfo(colours.dtype).max:
        raise refusal(path, "an image without transparent pixels")
    return red
