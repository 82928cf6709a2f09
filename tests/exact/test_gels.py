"""Gels on meshes: layers exactly, the square gel by closed forms, what holds of any cell, ranks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from mpi4py import MPI

from homfem import homogenize_diffusion, homogenize_gel, solve_gel
from homfem.brackets import relative_gap
from homfem.cells import blocks, fibre_array, laminate
from homfem.electrolytes import Gel, Ion, layered_gel_frozen, layered_gel_steady
from homfem.grid import Image, homogenize_gel_image, solve_image
from homfem.grid.frozen import frozen_flux
from homfem.output.cell_figures import draw_solution
from made_cells import grid_cell

SQUARE = ["WWWW", "WGGW", "WGGW", "WWWW"]


def salt(gel="G", water="W", inside=0.5, valences=(1, -1), baths=(1.0, 1.0)):
    return [
        Ion(name=name, valence=z, bath=c, diffusivities={gel: inside * d, water: d})
        for name, z, c, d in zip(("K", "X"), valences, baths, (1.0, 1.5), strict=True)
    ]


def square_of(ratio):
    """Obnosov: a square of area 1/4 and k times the conductivity of the rest, sqrt((1 + 3k)/(3 + k))."""
    return math.sqrt((1.0 + 3.0 * ratio) / (3.0 + ratio))


def test_the_square_gel_between_its_bounds():
    """X = 1; Obnosov's formula for each ion and for all at frozen concentrations; numbers of another program."""
    root = math.sqrt(2.0)
    plus, minus = square_of(0.5 * (root + 1.0)), 1.5 * square_of(0.5 * (root - 1.0))
    frozen = 2.5 * square_of(0.5 * (root + 1.0 + 1.5 * (root - 1.0)) / 2.5)
    assert (plus, minus, frozen) == pytest.approx((1.04807236, 1.06651990, 2.21098965), abs=1e-8)
    stored = 0.75 + 0.25 / root
    exact = {
        "onsager.K": plus,
        "onsager.X": minus,
        "conductivity": plus + minus,
        "frozen_conductivity": frozen,
        "transference.K": plus / (plus + minus),
        "transference.X": minus / (plus + minus),
        "frozen_transference.K": 0.47984788,
        "salt_partition": stored,
        "salt_diffusion": 2.0 / (1.0 / plus + 1.0 / minus) / stored,
    }
    assert (exact["transference.K"], exact["salt_partition"], exact["salt_diffusion"]) == pytest.approx(
        (0.49563804, 0.92677670, 1.14077475), abs=1e-4
    )
    found = homogenize_gel(blocks(SQUARE, resolution=0.1), Gel(ions=salt(), fixed_charges={"G": -2.0}), tolerance=1e-3)
    assert found.reached
    for name, value in exact.items():
        one = found.coefficients[name]
        number = float(one.value) if one.basis == "scalar" else one.value[0, 0]
        assert number == pytest.approx(value, rel=1e-12 if one.basis == "scalar" else 3e-4), name
        if one.basis != "scalar":
            assert np.all(one.lower.diagonal() - 1e-8 <= value), name
            assert np.all(value <= one.upper.diagonal() + 1e-8), name
            assert (one.upper - one.lower)[0, 0] <= 2.1e-3 * value, name
    assert np.array_equal(found.value, found.coefficients["conductivity"].value)
    assert found.value[0, 0] < found.coefficients["frozen_conductivity"].value[0, 0]


@pytest.mark.parametrize("charge", [-2.0, 3.0, -1e4])
@pytest.mark.parametrize("valences", [(1, -1), (2, -1), (3, -2)])
def test_layers_to_round_off(charge, valences):
    baths = (-valences[1], valences[0])
    ions = salt("layer1", "layer2", valences=valences, baths=baths)
    cell = laminate([0.4, 0.6], axis="x", dimension=2, resolution=0.3)
    found = homogenize_gel(cell, Gel(ions=ions, fixed_charges={"layer1": charge}), rtol=1e-12)
    fractions = {"layer1": 0.4, "layer2": 0.6}
    for axis, direction in enumerate(("across", "along")):
        steady = layered_gel_steady(ions, {"layer1": charge}, fractions, direction)
        frozen = layered_gel_frozen(ions, {"layer1": charge}, fractions) if axis == 0 else steady
        named = {name: one.value[axis, axis] for name, one in found.coefficients.items() if one.basis == "matrix"}
        assert named["conductivity"] == pytest.approx(steady.conductivity, rel=1e-11)
        assert named["frozen_conductivity"] == pytest.approx(frozen.conductivity, rel=1e-11)
        for ion in ("K", "X"):
            assert named[f"transference.{ion}"] == pytest.approx(steady.transference[ion], rel=1e-10)
            assert named[f"frozen_transference.{ion}"] == pytest.approx(frozen.transference[ion], rel=1e-9, abs=1e-12)
    apart = found.coefficients["frozen_conductivity"].value - found.value
    assert np.linalg.eigvalsh(apart)[0] >= -1e-11 * np.abs(found.value).max()
    assert apart[0, 0] > 1e-3


def test_salt_in_uncharged_layers_diffuses_as_its_ions_together():
    """Nernst and Hartley: (|z+| + |z-|) D+ D- / (|z+| D+ + |z-| D-), with the tensor of the cell; D inside is half."""
    for z in ((1, -1), (2, -1), (3, -2)):
        ions = salt("layer1", "layer2", valences=z, baths=(-z[1], z[0]))
        cell = laminate([0.4, 0.6], axis="x", dimension=2, resolution=0.3)
        found = homogenize_gel(cell, Gel(ions=ions), rtol=1e-12).coefficients
        free = (z[0] - z[1]) * 1.5 / (z[0] + -z[1] * 1.5)
        cellwise = np.diag([1.0 / (0.4 / 0.5 + 0.6), 0.4 * 0.5 + 0.6])
        assert np.abs(found["salt_diffusion"].value - free * cellwise).max() <= 1e-10
        assert found["salt_partition"].value == pytest.approx(1.0, rel=1e-14)
        # z+ is slower: the transference number of free solution in every direction
        part = z[0] * 1.0 / (z[0] * 1.0 - z[1] * 1.5)
        assert np.abs(found["transference.K"].value - part * np.eye(2)).max() <= 1e-11


def corner(s):
    return (s[:, 0] > 0.25).astype(int) + ((s[:, 1] > 0.4) & (s[:, 0] + s[:, 1] < 1.5)).astype(int)


def three_phases(comm=MPI.COMM_SELF):
    return grid_cell((8, 8), corner, comm=comm, vectors=[[1.0, 0.0], [0.25, 1.2]])


def four_ions():
    """Two cations and two anions; one is kept out of a phase, one does not move alike in all directions."""
    return [
        Ion(name="Na", valence=1, bath=3.0, diffusivities={"a": 0.5, "b": 1.0, "c": 0.2}),
        Ion(name="Ca", valence=2, bath=1.0, diffusivities={"a": 0.3, "b": [[0.6, 0.2], [0.2, 0.4]], "c": 0.1}),
        Ion(name="Cl", valence=-1, bath=3.0, diffusivities={"a": 0.9, "b": 1.5, "c": 0.2}),
        Ion(name="SO4", valence=-2, bath=1.0, diffusivities={"a": 0.4, "b": 0.8}),
    ]


def test_many_ions_in_three_phases():
    gel = Gel(ions=four_ions(), fixed_charges={"a": -3.0, "c": 2.0})
    found = homogenize_gel(three_phases(), gel).coefficients
    names = ("Na", "Ca", "Cl", "SO4")
    for kind in ("transference", "frozen_transference"):
        total = sum(found[f"{kind}.{name}"].value for name in names)
        assert np.abs(total - np.eye(2)).max() <= 1e-6, kind
        for name in names:
            one = found[f"{kind}.{name}"]
            assert np.all((one.lower <= one.value) & (one.value <= one.upper))
    valences = np.array([1, 2, -1, -2])
    sigma = sum(z**2 * found[f"onsager.{name}"].value for z, name in zip(valences, names, strict=True))
    assert np.abs(sigma - found["conductivity"].value).max() <= 1e-12
    assert np.linalg.eigvalsh(found["frozen_conductivity"].lower - found["conductivity"].upper)[0] > 0.0
    assert np.abs(np.subtract(*(found["transference.Ca"].value, found["transference.Ca"].value.T))).max() > 1e-4
    kept = [f"salt_diffusion.{a}.{b}" for a in names[:3] for b in names[:3]]
    assert set(kept) == {name for name in found if name.startswith("salt_diffusion")}
    blocks_of = np.block([[found[f"salt_diffusion.{a}.{b}"].value for b in names[:3]] for a in names[:3]])
    assert np.linalg.eigvals(blocks_of).real.min() > 0.0  # mixtures relax
    # which ion comes last is a matter of notation: the rates of relaxation are the same
    turned = Gel(ions=four_ions()[::-1], fixed_charges={"a": -3.0, "c": 2.0})
    other = homogenize_gel(three_phases(), turned).coefficients
    again = np.block([[other[f"salt_diffusion.{a}.{b}"].value for b in names[:0:-1]] for a in names[:0:-1]])
    assert np.sort(np.linalg.eigvals(again).real) == pytest.approx(np.sort(np.linalg.eigvals(blocks_of).real), rel=1e-6)


@pytest.mark.parametrize("void", [False, True])
def test_frozen_transference_of_three_phases_on_voxels_is_that_of_a_mesh(void):
    """On the mesh with symmetry, which the problem of the frozen flux does without."""
    labels = ["MMMMMMMM", "MAAMMBBM", "MAAMMBBM", "MMMMMMMM"]
    ions = [
        Ion(name="Na", valence=1, bath=3.0, diffusivities={"A": 0.5, "B": 1.0, "M": 0.2}),
        Ion(name="Ca", valence=2, bath=1.0, diffusivities={"A": 0.3, "M": 0.1}),
        Ion(name="Cl", valence=-1, bath=5.0, diffusivities={"A": 0.9, "B": 1.5, "M": 2.0}),
    ]
    if void:
        labels[0] = "VMMMMMMV"
    gel = Gel(ions=ions, fixed_charges={"A": -9.0, "B": 4.0})
    names = sorted(set("".join(labels)))
    numbers = np.array([[names.index(letter) for letter in row] for row in labels[::-1]]).T
    image = Image.from_labels(numbers, {name: k for k, name in enumerate(names)}, voxel=(0.125, 0.25))
    grid = homogenize_gel_image(image, gel, tolerance=2e-2).coefficients
    mesh = homogenize_gel(blocks(labels, resolution=0.1), gel, symmetry="auto").coefficients  # fmt: skip
    total = 0.0
    for ion in ("Na", "Ca", "Cl"):
        one, other = (found[f"frozen_transference.{ion}"] for found in (grid, mesh))
        assert np.all(one.lower <= other.upper)
        assert np.all(other.lower <= one.upper)
        assert np.abs(one.value - other.value).max() < 1e-2
        assert (one.upper - one.lower).max() < 0.2
        total = total + one.value
    assert np.abs(total - np.eye(2)).max() < 1e-9


def test_the_flux_of_all_ions_is_the_current_and_a_uniform_one_that_of_the_field():
    rng = np.random.default_rng(3)
    image = Image.from_labels(rng.integers(0, 3, size=(5, 4)), {"a": 0, "b": 1, "c": 2}, voxel=(1.0, 2.0))
    total = {name: size * np.eye(2) for name, size in (("a", 1.0), ("b", 4.0), ("c", 0.3))}
    solution = solve_image(image, {name: float(matrix[0, 0]) for name, matrix in total.items()}, thin_gaps="solve")
    lower, upper = solution.tensor.lower, solution.tensor.upper
    every = frozen_flux(solution, solution.tensor, total, total)
    root = np.sqrt(np.diag(upper - lower) / 2.0)
    assert np.abs(every.value - 0.5 * (lower + upper)).max() <= 1e-12
    assert np.abs(every.upper - every.value - np.outer(root, root)).max() <= 1e-6
    alike = frozen_flux(solution, solution.tensor, total, {name: 7.0 * np.eye(2) for name in total})
    assert np.abs(alike.value - 7.0 * np.eye(2)).max() <= 1e-9
    assert np.abs(alike.upper - alike.lower).max() <= 1e-6


def test_problems_that_are_a_number_times_another_are_not_solved_again(monkeypatch):
    from homfem.certify import gels

    solved = []

    class Counted(gels.SeveralDiffusions):
        def solve(self, cell, loads, plan):
            solved.extend(problem.coefficients for problem in self.problems)
            return super().solve(cell, loads, plan)

    monkeypatch.setattr(gels, "SeveralDiffusions", Counted)
    cell = blocks(SQUARE, resolution=0.3)
    plain = homogenize_gel(cell, Gel(ions=salt()))
    assert len(solved) == 1  # without a charge both ions, and the frozen ones, are those of the cell
    own = homogenize_diffusion(cell, {"G": 0.5, "W": 1.0})
    assert np.abs(plain.value - 2.5 * own.value).max() <= 1e-12
    assert np.all(np.linalg.eigvalsh(2.5 * own.lower - plain.lower) >= 0.0)
    solved.clear()
    homogenize_gel(cell, Gel(ions=salt(), fixed_charges={"G": -2.0}))
    assert len(solved) == 3


def test_a_tolerance_refines_one_mesh_for_all_ions():
    """An ion that the gel shuts out has corners that the other does not see: the worst of both is as good as asked."""
    gel = Gel(ions=salt(), fixed_charges={"G": -20.0})
    solution = solve_gel(blocks(SQUARE, resolution=0.25), gel, tolerance=2e-3)
    tensor = solution.tensor
    assert tensor.reached
    assert len(solution.history) > 1
    gaps = [relative_gap(one.lower, one.upper) for name, one in tensor.coefficients.items() if "onsager" in name]
    assert len(gaps) == 2
    assert max(gaps) <= 2e-3
    assert min(gaps) < 0.7 * max(gaps)
    # What is refined for the worst carries the others: no mesh of its own for each.
    assert sum(tensor.seconds.values()) > 0.0
    assert tensor.dofs == solution.history[-1]["dofs"]
    apart = homogenize_diffusion(
        blocks(SQUARE, resolution=0.25),
        {phase: matrix.tolist() for phase, matrix in gel.coefficients(("G", "W"), 2)["X"].items()},
        tolerance=2e-3,
    )
    assert tensor.coefficients["onsager.X"].value == pytest.approx(apart.value, rel=4e-3, abs=1e-9)


def test_the_estimate_of_facets_is_that_of_each_ion():
    cell = fibre_array(fraction=0.3, resolution=0.2, dimension=2)
    ions = [Ion(name=name, valence=z, bath=1.0, diffusivities={"fibre": d, "matrix": 1.0})
            for name, z, d in (("K", 1, 0.5), ("X", -1, 0.01))]  # fmt: skip
    gel = Gel(ions=ions, fixed_charges={"fibre": -2.0})
    found = homogenize_gel(cell, gel)
    alone = [
        homogenize_diffusion(cell, {phase: float(matrix[0, 0]) for phase, matrix in gel.coefficients(
            ("fibre", "matrix"), 2)[ion.name].items()})
        for ion in ions
    ]  # fmt: skip
    assert found.geometric_error == pytest.approx(sum(one.geometric_error for one in alone), rel=1e-9)
    assert alone[0].geometric_error != pytest.approx(alone[1].geometric_error, rel=0.1)


def test_sides_of_the_theory():
    """The sign of the fixed charge exchanges the roles of ions that are alike; a phase without ions insulates."""
    cell = blocks(SQUARE, resolution=0.25)
    alike = [
        Ion(name=name, valence=z, bath=1.0, diffusivities={"G": 0.5, "W": 1.0}) for name, z in (("K", 1), ("X", -1))
    ]
    minus, plus = (homogenize_gel(cell, Gel(ions=alike, fixed_charges={"G": q})).coefficients for q in (-2.0, 2.0))
    assert np.abs(minus["transference.K"].value - plus["transference.X"].value).max() <= 1e-9
    assert minus["transference.K"].value[0, 0] > 0.55
    assert minus["reduced_donnan_potential.G"].value == -plus["reduced_donnan_potential.G"].value < 0.0
    dry = [Ion(name=ion.name, valence=ion.valence, bath=1.0, diffusivities={"W": 1.0}) for ion in alike]
    found = homogenize_gel(cell, Gel(ions=dry))
    assert found.active_phases == ("W",)
    assert np.abs(found.value - 2.0 * homogenize_diffusion(cell, {"W": 1.0}).value).max() <= 1e-9
    assert np.abs(found.coefficients["frozen_transference.K"].value - 0.5 * np.eye(2)).max() <= 1e-12


def case(comm):
    gel = Gel(ions=four_ions(), fixed_charges={"a": -3.0, "c": 2.0})
    found = homogenize_gel(three_phases(comm), gel, rtol=1e-12).coefficients
    return {name: one.value.tolist() for name, one in found.items()}


@pytest.mark.mpi
def test_the_same_on_ranks(on_ranks):
    one = case(MPI.COMM_WORLD)
    for other in on_ranks(case, ranks=(2, 3)):
        for name, value in one.items():
            assert np.abs(np.array(other[name]) - value).max() <= 1e-8, name


def test_what_facets_and_round_off_do_to_the_current_is_that_of_all_ions():
    """Each with the square of its valence; the potential in the gel is also in millivolts."""
    cell = fibre_array(fraction=0.3, resolution=0.2, dimension=2)
    ions = [
        Ion(name=name, valence=z, bath=c, diffusivities={"fibre": 0.2 * d, "matrix": d})
        for name, z, c, d in (("Ca", 2, 1.0, 0.8), ("Cl", -1, 2.0, 2.0))
    ]
    found = homogenize_gel(cell, Gel(ions=ions, fixed_charges={"fibre": -3.0}, temperature=310.15))
    facets = roundoff = 0.0
    for ion in ions:
        inside = float(found.coefficients[f"concentration.fibre.{ion.name}"].value)
        alone = homogenize_diffusion(
            cell, {"fibre": inside * ion.diffusivities["fibre"], "matrix": ion.bath * ion.diffusivities["matrix"]}
        )
        facets += ion.valence**2 * alone.geometric_error
        roundoff += ion.valence**2 * alone.roundoff
    assert found.geometric_error == pytest.approx(facets, rel=1e-3)
    assert found.roundoff == pytest.approx(roundoff, rel=1e-3, abs=0.0)
    reduced = float(found.coefficients["reduced_donnan_potential.fibre"].value)
    assert found.coefficients["donnan_potential.fibre"].value == pytest.approx(26.7266 * reduced, rel=1e-4)


def test_a_picture_says_whose_corrector_it_shows(monkeypatch, tmp_path):
    """Of the potential at frozen concentrations; without charges one problem is that of all ions as well."""
    titles = []
    monkeypatch.setattr(
        "homfem.output.cell_figures.draw_fields", lambda *given, view, **rest: titles.append(view.title)
    )
    for charge, whose in ((-2.0, "the potential at frozen concentrations"), (0.0, None)):
        solution = solve_gel(blocks(SQUARE, resolution=0.25), Gel(ions=salt(), fixed_charges={"G": charge}))
        draw_solution(solution, str(tmp_path / "a.png"))
        ions = [ion.name for ion in salt()]
        whose = whose or f"{ions[0]} and {ions[1]} and the potential at frozen concentrations"
        assert solution.tensor.conventions["fields"] == f"correctors of {whose}"
        assert titles.pop().endswith(f"gradient along x, correctors of {whose}")
