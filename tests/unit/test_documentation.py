"""The documentation without Sphinx: every demo, key and module has its place, examples hold, links lead somewhere."""

from __future__ import annotations

import ast
import importlib.util
import re
import struct
import sys
import tomllib
from pathlib import Path

import pytest

from run_script import output_of

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))
import pages  # noqa: E402

from homfem.config import MODELS, PHYSICS, SHAPES, make_config  # noqa: E402
from homfem.config.reference import reference  # noqa: E402
from homfem.parameters import InputError  # noqa: E402
from homfem.validation import STUDIES  # noqa: E402

MADE = pages.pages()
WRITTEN = {str(path.relative_to(pages.DOCS)): path.read_text() for path in pages.written_pages()}
#: Examples in Python that other tests run, told by a part of theirs.
RUN_ELSEWHERE = ("homogenize_stokes", "runs.tensor", "bounds.table", ".ufl(", "sweeps.sweep")


def test_every_demo_has_its_page_and_pictures():
    demos = sorted((ROOT / "demos").glob("*.py"))
    assert pages.demos() == demos
    for demo in demos:
        page = MADE[f"demos/{demo.stem}.md"]
        text = ast.get_docstring(ast.parse(demo.read_text()))
        assert page.startswith(f"# {text.splitlines()[0].rstrip('.')}\n")
        assert "def main() -> None:" in page
        shown = re.findall(r"!\[[^\]]+\]\(/(pictures/demos/[\w./-]+\.png)\)", page)
        assert shown, f"docker/run python docs/refresh.py {demo.stem}"
        assert all((pages.DOCS / name).is_file() for name in shown)


def test_the_gallery_shows_every_cell_of_its_demo_large_enough_to_read():
    specification = importlib.util.spec_from_file_location("gallery", ROOT / "demos" / "02_cells.py")
    assert specification is not None
    assert specification.loader is not None
    demo = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(demo)
    parts = re.split(r"^## ", WRITTEN["gallery.md"], flags=re.MULTILINE)[1:]
    assert [part.partition("\n")[0] for part in parts] == list(demo.GALLERY), (
        "docker/run python docs/refresh.py 02_cells"
    )
    for part, (table, _) in zip(parts, demo.GALLERY.values(), strict=True):
        (config,) = re.findall(r"^```toml\n(.*?)^```", part, flags=re.DOTALL | re.MULTILINE)
        shown = tomllib.loads(config)["cell"]
        assert {key: shown.get(key) for key in table} == table
        assert set(shown) - set(table) <= {"period"}
        (picture,) = re.findall(r"\]\((pictures/cells/[\w.]+)\)", part)
        width, height = struct.unpack(">II", (pages.DOCS / picture).read_bytes()[16:24])
        assert min(width, height) >= 400, picture


def test_pictures_are_small_and_belong_to_a_demo_or_a_benchmark():
    names = {demo.stem for demo in pages.demos()}
    for picture in pages.PICTURES.rglob("*.png"):
        assert picture.stat().st_size < 200_000, picture
        place = picture.relative_to(pages.PICTURES)
        assert place.parts[0] in {"cells", "benchmarks"} or place.parts[1] in names


def test_every_key_of_every_table_is_in_the_reference():
    page = MADE["keys.md"]
    parts = dict(re.findall(r"^\((keys-[\w-]+)\)=\n+(.*?)(?=^\(keys-|\Z)", page, flags=re.DOTALL | re.MULTILINE))
    assert len(parts) == len(reference())
    for section in reference():
        part = parts[pages.anchor(section.name)]
        assert part.startswith(f"### `{section.header}`")
        for key in section.keys:
            assert f"| `{key.name}` |" in part, (section.name, key.name)


def test_every_shape_physics_and_model_has_an_example():
    examples = pages.examples()
    for table, registry in (("cell", SHAPES), ("effective", PHYSICS), ("macro", MODELS)):
        assert {f"{table}.{name}" for name in registry} <= set(examples)
    assert examples["effective.stokes"] in MADE["keys.md"]
    assert tomllib.loads(examples["macro.calcium"])["macro"]["model"] == "calcium"


def test_the_page_of_validation_has_every_study():
    page = WRITTEN["validation.md"]
    told = re.findall(r"^`homfem validate ([\w-]+)`$", page, flags=re.MULTILINE)
    assert told == list(STUDIES), "docker/run python docs/refresh.py validation"
    assert re.search(r"\| 0\.9493\d+ \| 0\.949\d+ … 0\.949\d+ \| 0\.94938977 \|", page)


def test_every_command_is_told_with_its_options():
    page = MADE["command-line.md"]
    for command in ("effective", "cell", "run", "keys", "doctor", "blocks tables"):
        assert f"## `homfem {command}`" in page
    assert "| `--set KEY=VALUE` |" in page
    assert "| `--schema` |" in page


def test_theory_and_api_show_what_there_is():
    theory = "\n".join(text for name, text in MADE.items() if name.startswith("theory/"))
    told = [name for name in sorted(pages.module_names("")) if len(pages.docstring_of(name).splitlines()) >= pages.LONG]
    outside = ("homfem.config", "homfem.runs", "homfem.cli", "homfem.sweeps", "homfem.validation", "homfem.ranks")
    missing = [name for name in told if f".. automodule:: {name}\n" not in theory and not name.startswith(outside)]
    assert missing == []
    for name in ("homfem.certify", "homfem.cells", "homfem.tensors", "homfem.macro.march"):
        assert f"api/{name}.md" in MADE
    assert ".. autofunction:: homogenize_diffusion" in MADE["api/homfem.certify.md"]
    assert ".. autoclass:: EffectiveTensor" in MADE["api/homfem.tensors.md"]


@pytest.mark.parametrize("name", sorted([*WRITTEN, *(f"_generated/{name}" for name in MADE)]))
def test_links_lead_to_pages_files_and_headings(name):
    text = WRITTEN.get(name) or MADE[name.removeprefix("_generated/")]
    if name in WRITTEN:
        text = pages.relinked(text, (pages.DOCS / name).parent)
    known = {*(f"/{path}" for path in WRITTEN), *(f"/_generated/{path}" for path in MADE)}
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        place, _, heading = target.partition("#")
        if "://" in place or (not place and not heading):
            continue
        if not place.startswith("/"):
            base = (pages.DOCS / name).parent / place if place else pages.DOCS / name
            place = "/" + str(base.resolve().relative_to(pages.DOCS))
        assert place in known or (pages.DOCS / place[1:]).is_file(), (name, target)
        if heading:
            shown = WRITTEN.get(place[1:]) or MADE[place.removeprefix("/_generated/")]
            headings = re.findall(r"^#+ (.*)$", shown, flags=re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", entry.lower()).replace(" ", "-") for entry in headings}
            assert heading in slugs, (name, target)


TOML = [(f"{path.name} {number}", block) for number, (path, block) in enumerate(pages.toml_blocks())]


@pytest.mark.parametrize(("name", "block"), TOML, ids=[name for name, _ in TOML])
def test_every_config_of_the_pages_is_accepted(name, block, tmp_path):
    """Of a part of [macro] the keys are known, and the model alone is missing."""
    document = tomllib.loads(block)
    if not set(document) <= {"cell", "effective", "macro"}:
        assert set(document) & {"config", "grid", "list", "sample"}, f"neither a config nor a plan: {name}"
        return
    folder = ROOT if "meshes/" in block else tmp_path
    for file in re.findall(r'file = "([\w.-]+)"', block):
        (tmp_path / file).touch()
    if "model" in document.get("macro", {"model": ""}):
        make_config(document, folder=folder)
        return
    with pytest.raises(InputError, match=r"^macro\.model = \(missing\)"):
        make_config(document, folder=folder)


PYTHON = [
    (f"{path.name} {number}", block)
    for path in pages.written_pages()
    if path.parent.name == "guide" or path.name in ("index.md", "ionic-models.md", "transport.md", "two-scale.md")
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE))
    if not any(part in block for part in RUN_ELSEWHERE)
]


@pytest.mark.parametrize(("name", "block"), PYTHON, ids=[name for name, _ in PYTHON])
def test_every_example_in_python_runs(name, block, tmp_path, monkeypatch):
    (tmp_path / "shown.py").write_text(block)
    monkeypatch.chdir(tmp_path)
    output_of("shown.py")


def test_examples_of_a_dialogue_hold(tmp_path):
    import doctest

    for path in pages.written_pages():
        for block in re.findall(r"^```pycon\n(.*?)^```", path.read_text(), flags=re.DOTALL | re.MULTILINE):
            test = doctest.DocTestParser().get_doctest(block, {}, path.name, str(path), 0)
            assert test.examples
            assert doctest.DocTestRunner(verbose=False).run(test).failed == 0


def test_a_link_of_the_root_leads_to_its_page():
    shown = pages.relinked("[a](CHANGELOG.md) [b](docs/guide/mpi.md#slurm) [c](LICENSE) [d](https://x.y)", ROOT)
    assert shown == "[a](/_generated/changelog.md) [b](/guide/mpi.md#slurm) c (`LICENSE`) [d](https://x.y)"


def test_pages_are_written_once_and_old_ones_go(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "pages", lambda: {"a.md": "A", "b/c.md": "C"})
    (tmp_path / "old.md").write_text("old")
    pages.write(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*.md")) == ["a.md", "c.md"]
    before = (tmp_path / "a.md").stat().st_mtime_ns
    pages.write(tmp_path)
    assert (tmp_path / "a.md").stat().st_mtime_ns == before
