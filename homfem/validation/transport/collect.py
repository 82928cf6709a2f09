"""The rows of all sections, one after the other."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from homfem.validation.rows import Row

#: Modules of this package: what each computes stands in its ``rows()``, with its own numbers and sources.
SECTIONS = (
    "at_rest",
    "dispersion",
    "double_layer",
    "bounds",
    "reaction",
    "multiplication",
    "donnan",
    "chemotaxis",
    "effectiveness",
)  # fmt: skip


def transport_rows() -> Iterator[Row]:
    """Yield the rows of every section; collective."""
    for name in SECTIONS:
        yield from importlib.import_module(f"homfem.validation.transport.{name}").rows()
