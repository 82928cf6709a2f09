"""The pages of the documentation that are made from the package itself: demos, theory, keys, command line, API.

``docs/conf.py`` writes them into ``docs/_generated`` before Sphinx reads anything; the tests read them without Sphinx.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import pkgutil
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, Union, get_origin

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PICTURES = DOCS / "pictures"

#: Pages of theory: a title, and the packages or modules whose texts they show.
THEORY: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "cell-problems": ("Cell problems", ("local", "electrolytes")),
    "bounds": ("Guaranteed bounds", ("brackets", "certify", "tensors")),
    "meshless-bounds": ("Bounds and estimates without a mesh", ("bounds", "stiffness")),
    "orientation": ("Orientation of fibres", ("orientation",)),
    "blocks": ("Block media", ("blocks",)),
    "images": ("Images", ("grid",)),
    "meshes": ("Meshes and periodicity", ("meshing", "cells", "periodic")),
    "random-media": ("Random media", ("random_media",)),
    "macroscale": ("Macroscale models and kinetics", ("macro", "kinetics", "timestepping", "step_control")),
    "two-scale": ("The proof of the limit", ("twoscale",)),
    "solvers": ("Solvers and files", ("solve", "output")),
}
#: Lines from which on the docstring of a module is a text.
LONG = 8

#: Modules of the API beside the packages that say by ``__all__`` what is public.
MODULES = (
    "homfem.kinds", "homfem.kinetics.ionic", "homfem.materials", "homfem.parameters", "homfem.quantities",
    "homfem.step_control", "homfem.timestepping",
    "homfem.local.problem", "homfem.local.engine",
    "homfem.output.checkpoint", "homfem.output.fields", "homfem.output.microfields", "homfem.output.pictures",
)  # fmt: skip
#: Packages of which every module is public.
OPEN = ("homfem.macro",)
NOT_API = ("homfem.cli", "homfem.config")


def pages() -> dict[str, str]:
    """Return the text of every page by its path in ``docs/_generated``."""
    return {
        **{f"demos/{path.stem}.md": demo_page(path) for path in demos()},
        **{f"theory/{name}.md": theory_page(title, modules_with_text(of)) for name, (title, of) in THEORY.items()},
        **{f"api/{name}.md": api_page(name) for name in api_modules()},
        "more.md": more_page(),
        "keys.md": keys_page(),
        "command-line.md": command_page(),
        "contributing.md": outside(ROOT / "CONTRIBUTING.md"),
        "changelog.md": outside(ROOT / "CHANGELOG.md"),
    }


def write(folder: Path) -> None:
    """Write the pages into a folder that holds nothing else; files that are as they should be stay untouched."""
    wanted = pages()
    for path in sorted(folder.rglob("*.md")):
        if str(path.relative_to(folder)) not in wanted:
            path.unlink()
    for name, text in wanted.items():
        path = folder / name
        if not path.is_file() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


# Demos


def demos() -> list[Path]:
    """Return the demos in their order."""
    return sorted((ROOT / "demos").glob("*.py"))


def demo_pictures(demo: Path) -> list[Path]:
    """Return the pictures of a demo that the documentation keeps."""
    return sorted((PICTURES / "demos" / demo.stem).glob("*.png"))


def demo_page(demo: Path) -> str:
    """Return the page of a demo: its docstring, which is Markdown, its pictures, its code."""
    source = demo.read_text()
    tree = ast.parse(source)
    text = ast.get_docstring(tree) or ""
    head, _, rest = text.partition("\n")
    code = "\n".join(source.splitlines()[tree.body[0].end_lineno or 0 :]).strip("\n")
    lines = [f"# {head.rstrip('.')}", "", rest.strip("\n"), ""]
    for picture in demo_pictures(demo):
        name = f"{demo.stem}: {picture.stem}"
        lines += [f"![{name}](/{picture.relative_to(DOCS)})", ""]
    config = demo.with_suffix(".toml")
    if config.is_file():
        lines += [f"The config, `demos/{config.name}`:", "", "```toml", config.read_text().rstrip(), "```", ""]
    lines += [f"The code, `demos/{demo.name}`:", "", "```python", code, "```", ""]
    return "\n".join(lines)


def gallery(text: str) -> str:
    """Return the page of the gallery as ``demos/02_cells.py`` wrote it, for this folder: without the poster."""
    text = re.sub(r"!\[all cells\]\(.*?\)\n", GALLERY, text)
    return re.sub(r"(!\[[^\]]*\])\(([^)]+)\)", lambda found: f"{found[1]}(pictures/cells/{plain_name(found[2])})", text)


def plain_name(name: str) -> str:
    """Return the name of a file without letters that links must quote."""
    return re.sub(r"[^\w.]+", "_", name)


GALLERY = """Every built-in cell with its tensors. The config of each is below its picture; the numbers are the
principal values of the effective diffusivity, averaged over the whole cell, in units of the other phases' diffusivity:
the midpoint of the guaranteed bounds ± half their distance, and, where surfaces are curved, what straight facets may
change at most by an estimate ([how to read the bounds](guide/bounds.md)).
"""


def validation(studies: Mapping[str, tuple[str, list[Mapping[str, Any]]]]) -> str:
    """Return the page of published numbers beside ours.

    Parameters
    ----------
    studies
        By the name of a study its title and its rows, as ``homfem validate --json`` writes them.
    """
    lines = ["# Validation", "", VALIDATION, ""]
    for name, (title, rows) in studies.items():
        sources = list(dict.fromkeys(row["source"] for row in rows))
        lines += [f"## {title[:1].upper()}{title[1:]}", "", f"`homfem validate {name}`", ""]
        lines += ["| | ours | bounds | theirs | unit | apart | allowed | source |", "|---" * 8 + "|"]
        for row in rows:
            unit = "" if row["unit"] == "1" else row["unit"]
            shown = f"{row['ours']:.7g}", row["bounds"], f"{row['theirs']:.9g}", unit
            apart = f"{row['relative']:+.1e}", f"{row['allowed']:.1e}", str(sources.index(row["source"]) + 1)
            lines.append("| " + " | ".join([row["name"], *shown, *apart]) + " |")
        lines += ["", *(f"{number}. {source}." for number, source in enumerate(sources, 1)), ""]
    return "\n".join(lines)


VALIDATION = """Numbers that others published or computed, beside those of homfem, which the suite compares at every
change. *Bounds* are those of ours, where there are any; *apart* is ours less theirs in parts of theirs, *allowed* what
the printed digits and the mesh leave. The command below each heading computes its table anew, in some seconds on one
core; `homfem validate` computes all.
"""


# Theory


def module_names(package: str) -> list[str]:
    """Return a module, or a package and all modules below it, in alphabetical order."""
    base = ROOT / "homfem" / package
    if not base.is_dir():
        return [f"homfem.{package}"]
    paths = (path.relative_to(ROOT).with_suffix("") for path in base.rglob("*.py"))
    return sorted(".".join(path.parts).removesuffix(".__init__") for path in paths)


def docstring_of(module: str) -> str:
    """Return the docstring of a module, without importing it."""
    base = ROOT.joinpath(*module.split("."))
    path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    return ast.get_docstring(ast.parse(path.read_text())) or ""


def modules_with_text(packages: tuple[str, ...]) -> list[str]:
    """Return the modules of some packages whose docstring is a text."""
    names = [name for package in packages for name in module_names(package)]
    return [name for name in names if len(docstring_of(name).splitlines()) >= LONG]


def theory_page(title: str, modules: list[str]) -> str:
    """Return a page with the docstrings of modules."""
    lines = [f"# {title}", ""]
    for name in modules:
        above, _, own = name.rpartition(".")
        hidden = inspect.ismodule(getattr(importlib.import_module(above), own, importlib.import_module(name)))
        heading = re.split(r"[:.,;](?:\s|$)", docstring_of(name).splitlines()[0])[0].replace("``", "`")
        lines += [f"## {heading}", "", f"`{name}`", "", "```{eval-rst}", f".. automodule:: {name}"]
        lines += [*["   :no-index:"] * (not hidden), "```", ""]  # a function has the same name
    return "\n".join(lines)


# API


def api_modules() -> list[str]:
    """Return the modules that have a page: packages with ``__all__``, and those named here."""
    found = list(MODULES)
    for package in sorted(path.parent.name for path in (ROOT / "homfem").glob("*/__init__.py")):
        name = f"homfem.{package}"
        module = importlib.import_module(name)
        if name in NOT_API:
            continue
        if getattr(module, "__all__", None):
            found.append(name)
        if name in OPEN:
            found += [entry.name for entry in pkgutil.iter_modules(module.__path__, f"{name}.")]
    return sorted(name for name in found if public_names(importlib.import_module(name)))


def public_names(module: ModuleType) -> list[str]:
    """Return what a module offers: ``__all__``, or the functions and classes that it defines, in their order."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    own = [
        name
        for name, entry in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(entry) or inspect.isfunction(entry))
        and entry.__module__ == module.__name__
    ]
    return own if not hasattr(module, "__path__") else []


def directive(entry: Any) -> str:
    """Return how autodoc shows an object."""
    if inspect.isclass(entry):
        return "autoexception" if issubclass(entry, BaseException) else "autoclass"
    return "autofunction" if callable(entry) and hasattr(entry, "__code__") else "autodata"


def api_page(name: str) -> str:
    """Return the page of a public module: what it offers, each with its docstring."""
    module = importlib.import_module(name)
    told = (inspect.getdoc(module) or "").split("\n\n")[0]
    lines = [f"# {name}", "", "```{eval-rst}", told, "", f".. currentmodule:: {name}", ""]
    for entry in public_names(module):
        value = getattr(module, entry)
        if get_origin(value) in (Union, UnionType):  # autodoc would describe its parts anew
            shown = re.sub(r"\b(?:\w+\.)+", "", str(value))
            lines += [f".. py:data:: {entry}", "", f"   ``{shown}``", ""]
            continue
        kind = directive(inspect.unwrap(value) if callable(value) else value)
        lines += [f".. {kind}:: {entry}"] + ["   :members:"] * (kind in ("autoclass", "autoexception"))
        home = aliases().get(f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}")
        lines += ["   :no-index:"] * (home not in (None, f"{name}.{entry}"))  # it is told on another page as well
        lines += ["   :no-value:"] * (kind == "autodata") + [""]
    return "\n".join([*lines, "```", ""])


@functools.cache
def aliases() -> dict[str, str]:
    """Return the public name of each object by the one of where it is defined, which docstrings use."""
    found: dict[str, str] = {}
    for name in api_modules():
        module = importlib.import_module(name)
        for entry in public_names(module):
            value = getattr(module, entry)
            if hasattr(value, "__qualname__"):
                found.setdefault(f"{value.__module__}.{value.__qualname__}", f"{name}.{entry}")
                found.setdefault(entry, f"{name}.{entry}")
    return found


# Keys


def toml_blocks() -> list[tuple[Path, str]]:
    """Return the TOML examples of the README and of all pages that are written by hand, with where they stand."""
    pages = [ROOT / "README.md", *written_pages()]
    return [
        (path, block)
        for path in pages
        for block in re.findall(r"^```toml\n(.*?)^```", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    ]


def written_pages() -> list[Path]:
    """Return the pages of the documentation that are in the repository."""
    skipped = ("_build", "_generated")
    return sorted(path for path in DOCS.rglob("*.md") if path.relative_to(DOCS).parts[0] not in skipped)


def examples() -> dict[str, str]:
    """Return an example for each shape, physics and model, by the name of its section: ``cell.three-pipe``."""
    import tomllib

    found: dict[str, str] = {}
    for _, block in sorted(toml_blocks(), key=lambda entry: len(entry[1])):
        document = tomllib.loads(block)
        for table, key in (("cell", "shape"), ("effective", "physics"), ("macro", "model")):
            name = document.get(table, {}).get(key) if isinstance(document.get(table), dict) else None
            if name is None and table == "cell" and "file" in document.get(table, {}):
                name = "file"
            if name is not None:
                found.setdefault(f"{table}.{name}", tables_of(block, table))
    return found


def tables_of(block: str, table: str) -> str:
    """Return the part of a TOML text that is in a table and those inside it."""
    parts = re.split(r"^(?=\[)", block, flags=re.MULTILINE)
    own = [part.rstrip() for part in parts if re.match(rf"\[\[?{table}[.\]]", part)]
    return "\n\n".join(own)


def keys_page() -> str:
    """Return the reference of all keys, with an example for each shape, physics and model."""
    from homfem.config.reference import as_markdown, reference

    shown = examples()
    titles = {
        "cell": "The cell",
        "effective": "The effective tensor",
        "macro": "The macroscale model",
        "sweep": "A sweep",
    }
    lines = ["# Keys of a config", "", INTRODUCTION, ""]
    above = ""
    for section in reference():
        table = section.name.split(".")[0]
        if table != above:
            lines += [f"## {titles.get(table, table)}", ""]
            above = table
        lines += [f"({anchor(section.name)})=", "", "#" + as_markdown([section]), ""]
        if section.name in shown:
            lines += ["```toml", shown[section.name], "```", ""]
    return "\n".join(lines)


INTRODUCTION = """Every key of every table, as the checker of the configs has it: what it takes, its default, what it
means. A quantity is a string with its unit; a key without a default and without `required` may be left out. The
command `homfem keys TABLE` prints the same, and editors check the keys by [a schema](/guide/editors.md)."""


def anchor(name: str) -> str:
    """Return the label of a section of the keys."""
    return "keys-" + re.sub(r"[^a-z0-9]+", "-", name.lower())


# Command line


def command_page() -> str:
    """Return every command with its arguments and options."""
    import typer

    from homfem.cli.app import app

    lines = ["# Command line", ""]
    for name, command in _commands("homfem", typer.main.get_command(app)):
        lines += [f"## `{name}`", "", _plain(command.help or ""), ""]
        rows = [row for parameter in command.params if (row := _row(parameter)) is not None]
        if rows:
            lines += ["| | | default |", "|---|---|---|", *rows, ""]
        if getattr(command, "epilog", None):
            lines += [_plain(command.epilog), ""]
    return "\n".join(lines)


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for key, inner in getattr(command, "commands", {}).items():
        yield from _commands(f"{name} {key}", inner)


def _row(parameter: Any) -> str | None:
    if getattr(parameter, "hidden", False):
        return None
    if parameter.param_type_name == "argument":
        shown = parameter.human_readable_name
    else:
        value = "" if parameter.is_flag else f" {parameter.metavar or parameter.type.name.upper()}"
        shown = ", ".join(parameter.opts) + value
    default = parameter.default if isinstance(parameter.default, (int, float, str)) else None
    told = "" if default is None or isinstance(default, bool) else f"`{default}`"
    cells = (f"`{shown}`", _plain(getattr(parameter, "help", None) or ""), told)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _plain(text: str) -> str:
    return " ".join(text.replace("\\[", "[").split())


# Pages that stand outside of docs, or that nobody names


#: Pages that the contents name.
NAMED = (
    "index",
    "tutorials",
    "howto",
    "gallery",
    "theory",
    "reference",
    "api",
    "keys",
    "reaction-diffusion",
    "cardiac",
    "ionic-models",
)


def more_page() -> str:
    """Return the contents of what else stands in the folder."""
    found = [path.stem for path in sorted(DOCS.glob("*.md")) if path.stem not in NAMED]
    names = [*(f"/{name}" for name in found), "contributing", "changelog"]
    return "\n".join(["# More", "", "```{toctree}", ":maxdepth: 1", "", *names, "```", ""])


def outside(path: Path) -> str:
    """Return a page of the root, with its links as they are from here."""
    return relinked(path.read_text(), path.parent)


def relinked(text: str, folder: Path) -> str:
    """Return Markdown whose relative links, seen from a folder of the repository, lead to pages of this folder."""
    pages = {"CONTRIBUTING.md": "/_generated/contributing.md", "CHANGELOG.md": "/_generated/changelog.md"}
    pages |= {"docs/keys.md": "/_generated/keys.md"}

    def to(match: re.Match[str]) -> str:
        name, hash_, part = match[2].partition("#")
        target = (folder / name).resolve()
        if "://" in match[2] or not name or not target.is_relative_to(ROOT):
            return match[0]
        place = str(target.relative_to(ROOT))
        if place in pages:
            return f"{match[1]}({pages[place]}{hash_}{part})"
        if target.is_relative_to(DOCS):
            return match[0] if folder != ROOT else f"{match[1]}(/{target.relative_to(DOCS)}{hash_}{part})"
        return f"{match[1][1:-1]} (`{place}`)"  # a file of the repository that is no page

    return re.sub(r"(?<!!)(\[[^\]]*\])\(([^)\s]+)\)", to, text)


def clear(folder: Path) -> None:
    """Remove what was made."""
    shutil.rmtree(folder, ignore_errors=True)
