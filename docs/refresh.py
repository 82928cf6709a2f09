"""Draw the pictures of the documentation anew: run demos in full, and keep what they draw, small.

docker/run python docs/refresh.py [--drawn FOLDER] [DEMO ...]

Without names all demos run, which takes some minutes; ``validation`` makes the page of published numbers, and
``validation/transport`` its section of one study. ``--drawn`` takes pictures that are there already, in
``FOLDER/DEMO``. The gallery is that of ``demos/02_cells.py``, with its page.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import pages
from PIL import Image

WIDTH, CELL_WIDTH, COLOURS = 1000, 640, 128
GALLERY = "02_cells"


def shrink(picture: Path, to: Path, width: int) -> None:
    """Write a picture with at most some width, and a palette."""
    to.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(picture) as opened:
        flat = Image.new("RGB", opened.size, "white")
        flat.paste(opened, mask=opened.getchannel("A") if "A" in opened.getbands() else None)
    if flat.width > width:
        flat = flat.resize((width, round(flat.height * width / flat.width)), Image.Resampling.LANCZOS)
    flat.quantize(COLOURS, dither=Image.Dither.NONE).save(to, optimize=True)


def keep(demo: Path, drawn: Path) -> None:
    """Keep the pictures of a demo in place of the earlier ones; of the gallery also its page."""
    kept = pages.PICTURES / "demos" / demo.stem
    for old in kept.glob("*.png"):
        old.unlink()
    if demo.stem != GALLERY:
        for picture in sorted(drawn.glob("*.png")):
            shrink(picture, kept / picture.name, WIDTH)
        return
    cells = pages.PICTURES / "cells"
    for old in cells.glob("*.png"):
        old.unlink()
    for picture in sorted(drawn.glob("*.png")):
        if picture.stem == "gallery":
            shrink(picture, kept / picture.name, WIDTH)
        else:
            shrink(picture, cells / pages.plain_name(picture.name), CELL_WIDTH)
    (pages.DOCS / "gallery.md").write_text(pages.gallery((drawn / "gallery.md").read_text()))


def validate(only: str | None = None) -> None:
    """Write the page of published numbers, or its section of one study anew."""
    from homfem import validation

    page = pages.DOCS / "validation.md"
    sections = {}
    for section in page.read_text().split("\n## ")[1:]:
        sections[section.split("`homfem validate ", 1)[1].split("`", 1)[0]] = section
    for name, study in validation.STUDIES.items():
        if only in (None, name):
            made = pages.validation({name: (study.title, [row.to_dict() for row in validation.validate(name)])})
            head, sections[name] = made.split("\n## ", 1)
    page.write_text("\n## ".join([head, *(sections[name] for name in validation.STUDIES)]))


def main() -> None:
    """Draw what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drawn", type=Path, help="folder with a folder of pictures for each demo")
    parser.add_argument("demos", nargs="*", metavar="DEMO", help="such as 05_stokes; all by default")
    chosen = parser.parse_args()
    for name in chosen.demos or ["validation"]:
        page, _, study = name.partition("/")
        if page == "validation":
            validate(study or None)
    for demo in pages.demos():
        if chosen.demos and demo.stem not in chosen.demos:
            continue
        if chosen.drawn is not None:
            keep(demo, chosen.drawn / demo.stem)
            continue
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, str(demo), "--out", folder], check=True)
            keep(demo, Path(folder))


if __name__ == "__main__":
    main()
