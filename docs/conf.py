"""Sphinx: the pages of this folder, and those that docs/pages.py makes from the package."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import pages  # noqa: E402

import homfem  # noqa: E402

project = "homfem"
author = "The homfem developers"
copyright = author
version = release = homfem.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",
    "sphinx.ext.viewcode",
    "sphinx_design",
]
exclude_patterns = ["_build", "keys.md"]
source_suffix = {".md": "markdown"}
root_doc = "index"

highlight_language = "text"
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4

autosummary_generate = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "pydata_sphinx_theme"
html_title = "homfem"
html_static_path = ["static"]
html_css_files = ["homfem.css"]
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
}


def setup(app: Any) -> None:
    """Write the made pages before any is read; let links of pages of the repository lead to pages."""
    # It only copies files, and does not say that pages may be read side by side: a warning, which is an error here.
    app.extensions["sphinx-mathjax-offline"].parallel_read_safe = True
    app.connect("builder-inited", lambda app: pages.write(HERE / "_generated"))
    app.connect("source-read", _read)
    app.connect("missing-reference", _found_by_its_module)
    app.connect("autodoc-process-docstring", _without_sections, priority=100)  # before numpydoc


def _read(app: Any, name: str, source: list[str]) -> None:
    if not name.startswith("_generated/"):
        source[0] = pages.relinked(source[0], (HERE / name).parent)


def _without_sections(app: Any, what: str, name: str, entry: Any, options: Any, lines: list[str]) -> None:
    """Make the sections of a module's text rubrics: a page of theory has its own sections."""
    if what == "module":
        text = re.sub(r"^(\w.*)\n-{3,}\n", r".. rubric:: \1\n\n", "\n".join(lines), flags=re.MULTILINE)
        lines[:] = text.split("\n")


def _found_by_its_module(app: Any, environment: Any, node: Any, content: Any) -> Any:
    """Resolve the name of where an object is defined to that of where it is public."""
    if node.get("refdomain") != "py":
        return None
    known = _found_by_its_module.__dict__.setdefault("known", pages.aliases())
    public = known.get(node["reftarget"])
    if public is None:
        return None
    domain = environment.get_domain("py")
    return domain.resolve_xref(environment, node["refdoc"], app.builder, "obj", public, node, content)
