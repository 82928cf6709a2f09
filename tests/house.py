"""The structure of a checkout in numbers and as a drawing: packages on floors, modules as rooms, imports as arrows.

``python tests/house.py`` prints the numbers of this checkout and writes the table of layers into CONTRIBUTING.md;
``--root DIR`` measures another checkout, ``--draw FILE`` draws it.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
TABLE = re.compile(r"(?<=<!-- layers -->\n).*?(?=<!-- /layers -->)", re.DOTALL)
#: Parameters of a function beyond which a dataclass says more.
MANY = 8


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function or method: where it stands, its lines from ``def`` on, its parameters but ``self`` and ``cls``."""

    name: str
    lines: int
    parameters: int


@dataclass(frozen=True)
class House:
    """The package below ``root``, as its source says."""

    root: Path

    @cached_property
    def sources(self) -> Mapping[str, ast.Module]:
        """Return the syntax trees of the modules, by dotted name."""
        found = {}
        for path in sorted((self.root / "homfem").rglob("*.py")):
            parts = path.relative_to(self.root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_text())
        return found

    @cached_property
    def lines(self) -> Mapping[str, int]:
        """Return the lines of each module."""
        return {name: len(self.file(name).read_text().splitlines()) for name in self.sources}

    def file(self, module: str) -> Path:
        """Return the file of a module."""
        path = self.root.joinpath(*module.split("."))
        return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")

    @cached_property
    def arrows(self) -> set[tuple[str, str]]:
        """Return the pairs of modules of which the first imports from the second, for types only as well."""
        return {
            (module, target)
            for module, tree in self.sources.items()
            for target in imported(tree, module, self.file(module).stem == "__init__", self.sources)
            if target != module
        }

    @cached_property
    def functions(self) -> Sequence[Function]:
        """Return all functions and methods."""
        return [
            Function(name=f"{module}.{node.name}", lines=_length(node), parameters=_parameters(node))
            for module, tree in self.sources.items()
            for node in ast.walk(tree)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        ]

    def among(self, *packages: str) -> tuple[int, int]:
        """Return the number of modules of some packages and of the arrows between them."""
        inside = {name for name in self.sources if _within(name, packages)}
        return len(inside), sum(a in inside and b in inside for a, b in self.arrows)

    def between(self, names: Sequence[str]) -> Mapping[tuple[str, str], int]:
        """Return how many arrows lead from one of some packages or modules to another of them."""
        count: dict[tuple[str, str], int] = defaultdict(int)
        for first, second in self.arrows:
            a, b = (next((name for name in names if _within(m, [name])), None) for m in (first, second))
            if a and b and a != b:
                count[a, b] += 1
        return count


def imported(tree: ast.AST, module: str, is_package: bool, known: Mapping[str, object]) -> Iterator[str]:
    """Yield the modules of the package that a module imports from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".")[: None if is_package else -1]
                base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [base])])
            for alias in node.names:
                target = f"{base}.{alias.name}"
                if target in known or base in known:
                    yield target if target in known else base


def circles(arrows: Mapping[tuple[str, str], int]) -> list[set[str]]:
    """Return the sets of names that reach each other along the arrows."""
    after: dict[str, set[str]] = defaultdict(set)
    for first, second in arrows:
        after[first].add(second)

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        pending = [start]
        while pending:
            fresh = after[pending.pop()] - seen
            seen |= fresh
            pending.extend(fresh)
        return seen

    reach = {name: reached(name) for name in list(after)}
    found: list[set[str]] = []
    for name, targets in reach.items():
        ring = {other for other in targets if name in reach.get(other, ())}
        if ring and ring not in found:
            found.append(ring)
    return found


def floors(names: Sequence[str], arrows: Mapping[tuple[str, str], int]) -> list[list[str]]:
    """Return names from the bottom up, each above all that it imports, but for what imports it as well."""
    rings = circles(arrows)
    inner = {(a, b) for a, b in arrows if any(a in ring and b in ring for ring in rings)}
    below = {name: {b for a, b in arrows if a == name and (a, b) not in inner} for name in names}
    found: list[list[str]] = []
    placed: set[str] = set()
    while len(placed) < len(below):
        level = [name for name in names if name not in placed and below[name] <= placed]
        placed |= set(level)
        found.append(level)
    return found


def numbers(house: House, packages: Sequence[str]) -> dict[str, str]:
    """Return what tells a house that is easy to find one's way in from another."""
    modules = sorted((count, name) for name, count in house.lines.items() if house.file(name).stem != "__init__")
    functions = sorted((f.lines, f.name) for f in house.functions)
    rooms, arrows = house.among("homfem.cells", "homfem.meshing")
    many = sorted((f.parameters, f.name) for f in house.functions if f.parameters > MANY)
    between = house.between([f"homfem.{name}" for name in packages])
    parts = inside(house)
    return {
        "modules, lines": f"{len(modules)}, {sum(house.lines.values())}",
        "median and largest module": f"{median(c for c, _ in modules):.0f} and {modules[-1][0]} lines "
        f"({modules[-1][1]})",
        "median and longest function": f"{median(c for c, _ in functions):.0f} and {functions[-1][0]} lines "
        f"({functions[-1][1]})",
        "modules over 400 lines": str(sum(c > 400 for c, _ in modules)),
        "functions over 40 lines, docstrings apart": str(sum(c > 40 for c, _ in functions)),
        f"functions with more than {MANY} parameters": str(len(many)),
        "rooms and arrows of meshing and cells": f"{rooms} and {arrows}",
        "parts of meshing and cells, and which import from which": f"{len(parts)} and {len(house.between(parts))}",
        "circles of packages": str(len(circles(between))),
    }


def inside(house: House) -> list[str]:
    """Return the packages in which cells are made: those in ``meshing`` and ``cells``, or its modules without these."""
    if "homfem.meshing" not in house.sources:
        return sorted(name for name in house.sources if name.startswith("homfem.cells."))
    parts = {".".join(name.split(".")[:3]) for name in house.sources if name.startswith("homfem.meshing.")}
    return [*sorted(parts), "homfem.cells"]


def layers(rows: Sequence[Sequence[str]], rules: Mapping[str, str]) -> str:
    """Return the table of layers in Markdown, from the bottom up."""
    lines = ["| row | packages and modules | rule |", "|---|---|---|"]
    for number, names in enumerate(rows):
        said = "; ".join(rules[name] for name in names if name in rules)
        lines.append(f"| {number} | {', '.join(f'`{name}`' for name in names)} | {said} |")
    return "\n".join(lines) + "\n"


def draw(house: House, rows: Sequence[Sequence[str]], file: str, title: str) -> None:
    """Draw the packages as boxes on the floors of the table, as wide as they have lines, and the imports as arrows."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    from matplotlib.patches import FancyArrowPatch, Rectangle

    drawn = [[name for name in names if f"homfem.{name}" in house.sources] for names in rows]
    drawn = [names for names in drawn if names]
    size = {n: sum(c for m, c in house.lines.items() if _within(m, [f"homfem.{n}"])) for f in drawn for n in f}
    figure, axes = plt.subplots(figsize=(11, 0.95 * len(drawn) + 0.6))
    place: dict[str, tuple[float, float]] = {}
    for level, names in enumerate(drawn):
        widths = [max(0.9, 0.075 * len(n.split(".")[-1]) + 0.15, size[n] / 1800) for n in names]
        x = -0.5 * (sum(widths) + 0.25 * (len(names) - 1))
        for name, width in zip(names, widths, strict=True):
            axes.add_patch(Rectangle((x, level), width, 0.5, facecolor="#e8eef5", edgecolor="#33475b", zorder=2))
            word = name.split(".")[-1] if "." in name else name
            text = f"{word}\n{size[name] / 1000:.1f}k" if size[name] >= 100 else word
            axes.text(x + width / 2, level + 0.25, text, ha="center", va="center", fontsize=7, zorder=3)
            place[f"homfem.{name}"] = (x + width / 2, float(level))
            x += width + 0.25
    for (first, second), count in house.between(sorted(place, key=len, reverse=True)).items():
        (xa, ya), (xb, yb) = place[first], place[second]
        up = yb >= ya
        axes.add_patch(
            FancyArrowPatch(
                (xa, ya + (0.5 if up else 0.0)), (xb, yb + (0.0 if up else 0.5)), arrowstyle="-|>", mutation_scale=6,
                connectionstyle="arc3,rad=0.08", linewidth=min(2.5, 0.35 + 0.06 * count), zorder=1,
                color="#c0392b" if up else "#7f8c9b", alpha=0.9 if up else 0.5, shrinkA=0, shrinkB=0,
            )
        )  # fmt: skip
    axes.set_title(title, fontsize=10)
    axes.autoscale_view()
    axes.set_ylim(-0.3, len(drawn) - 0.3)
    axes.axis("off")
    figure.savefig(file, dpi=130, bbox_inches="tight")
    plt.close(figure)


def _within(module: str, packages: Sequence[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    total = int(node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        total -= int(first.end_lineno or first.lineno) - first.lineno + 1
    return total


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = node.args
    names = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def main() -> None:
    """Print the numbers; write the table of layers, or draw."""
    import sys

    sys.path.insert(0, str(ROOT / "tests" / "unit"))
    from test_layers import ROWS, RULES

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT)
    parser.add_argument("--draw", metavar="FILE")
    parser.add_argument("--title", default="")
    parser.add_argument("--inside", action="store_true", help="draw what is inside of meshing and cells")
    given = parser.parse_args()
    house = House(given.root.resolve())
    packages = [name for names in ROWS for name in names]
    for name, value in numbers(house, packages).items():
        print(f"{name}: {value}")
    for f in sorted(house.functions, key=lambda f: -f.parameters):
        if f.parameters > MANY:
            print(f"  {f.parameters} parameters: {f.name}")
    if given.draw and given.inside:
        parts = inside(house)
        rows = floors(parts, house.between(parts))
        draw(house, [[name.removeprefix("homfem.") for name in row] for row in rows], given.draw, given.title)
    elif given.draw:
        draw(house, ROWS, given.draw, given.title)
    elif given.root == ROOT:
        page = ROOT / "CONTRIBUTING.md"
        page.write_text(TABLE.sub(lambda _: layers(ROWS, RULES), page.read_text()))


if __name__ == "__main__":
    main()
