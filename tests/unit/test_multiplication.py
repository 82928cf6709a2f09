"""Neutrons in lattices: the slab in closed form, Bloch waves by finite volumes, uniform media, ranks, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.optimize
from mpi4py import MPI

from homfem import EffectiveTensor
from homfem.cells import fibre_array, laminate
from homfem.certify import CrossSections, homogenize_multiplication, solve_multiplication
from homfem.certify.multiplication.groups import factor_error
from homfem.certify.multiplication.physics import uniform_multiplication
from homfem.certify.reaction.geometry import rate_error
from homfem.parameters import InputError

FUEL = CrossSections(diffusion=0.05, absorption=1.0, production=1.5)
MODERATOR = CrossSections(diffusion=0.1, absorption=0.3)
#: Two groups: fast neutrons are born in the fuel and slowed down in the moderator.
TWO = {
    "layer1": CrossSections(
        diffusion=[0.4, 0.1], absorption=[0.2, 1.0], production=[0.1, 2.0], scattering=[[0.0, 0.1], [0.0, 0.0]]
    ),
    "layer2": CrossSections(diffusion=[0.3, 0.05], absorption=[0.01, 0.1], scattering=[[0.0, 1.0], [0.02, 0.0]]),
    "layer3": CrossSections(diffusion=[0.2, 0.2], absorption=[0.3, 0.6], scattering=[[0.0, 0.3], [0.0, 0.0]]),
}
#: Pins of fuel in a moderator.
PINS = {
    "fibre": CrossSections(diffusion=[0.4, 0.1], absorption=[0.2, 9.0], production=[0.1, 15.0]),
    "matrix": CrossSections(diffusion=[0.3, 0.05], absorption=[0.01, 0.1], scattering=[[0.0, 1.0], [0.0, 0.0]]),
}
BLACK = CrossSections(diffusion=[0.4, 0.1], absorption=[0.2, 90.0], production=[0.1, 150.0])


def slab(resolution: float, comm: MPI.Comm = MPI.COMM_WORLD):
    return laminate([0.6, 0.4], axis="x", dimension=2, resolution=resolution, comm=comm)


def number(tensor: EffectiveTensor, name: str) -> float:
    return float(tensor.coefficients[name].value)


def bloch(materials: list[CrossSections], fractions: list[float], buckling: float, cells: int, chi: list[float]):
    """1/k(B) along the normal of layers by finite volumes: an eigenvalue that need not be real."""
    groups, h = len(chi), 1.0 / cells
    layer = np.searchsorted(np.cumsum(fractions), (np.arange(cells) + 0.5) * h)
    a = np.zeros((groups * cells, groups * cells), dtype=complex)
    f = np.zeros_like(a)
    place = np.arange(cells)
    following = (place + 1) % cells
    for g in range(groups):
        d = np.array([materials[i].diffusion[g] for i in layer])
        link = 2.0 / (1.0 / d + 1.0 / d[following]) / h**2
        rows, next_ = g * cells + place, g * cells + following
        phase = np.exp(1j * buckling * h)
        np.add.at(a, (rows, rows), link)
        np.add.at(a, (next_, next_), link)
        np.add.at(a, (rows, next_), -link * phase)
        np.add.at(a, (next_, rows), -link / phase)
        a[rows, rows] += [materials[i].removal[g] for i in layer]
        for other in range(groups):
            a[rows, other * cells + place] -= [materials[i].scattering[other, g] for i in layer]
            f[rows, other * cells + place] += [chi[g] * materials[i].production[other] for i in layer]
    values = np.linalg.eigvals(np.linalg.solve(a, f))
    return 1.0 / values[np.argmax(values.real)]


def test_slab_in_closed_form() -> None:
    """D_f q tan(q a) = D_m kappa tanh(kappa (1/2 - a)), and the printed digits."""
    kappa = math.sqrt(0.3 / 0.1)

    def left(k: float) -> float:
        q = math.sqrt((1.5 / k - 1.0) / 0.05)
        return 0.05 * q * math.tan(0.3 * q) - 0.1 * kappa * math.tanh(0.2 * kappa)

    exact = scipy.optimize.brentq(left, 1.2, 1.4, xtol=1e-14)
    assert exact == pytest.approx(1.279774009, abs=2e-9)
    tensor = homogenize_multiplication(slab(0.05), {"layer1": FUEL, "layer2": MODERATOR}, degree=3)
    k = tensor.coefficients["multiplication"]
    assert k.lower is not None
    assert k.upper is not None
    assert k.lower < exact < k.upper
    assert k.upper - k.lower < 1e-7
    assert number(tensor, "multiplication") == pytest.approx(exact, rel=1e-9)
    assert number(tensor, "volume_multiplication") == pytest.approx(1.25, rel=1e-12)
    assert number(tensor, "absorption") == pytest.approx(0.744838032, abs=2e-9)
    assert number(tensor, "production") == pytest.approx(0.953224354, abs=2e-9)
    fuel, moderator = tensor.coefficients["flux"].value
    assert moderator / fuel == pytest.approx(0.860409687, abs=2e-9)
    assert np.allclose(np.diag(tensor.value), [0.0811015930, 0.0846848442], rtol=1e-7)
    assert tensor.value[0, 1] == pytest.approx(0.0, abs=1e-12)


def test_weighted_cross_sections_keep_rates_and_factor() -> None:
    """To round-off, on any mesh: they are those of the discrete flux."""
    one = homogenize_multiplication(slab(0.2), {"layer1": FUEL, "layer2": MODERATOR})
    assert number(one, "production") / number(one, "absorption") == pytest.approx(
        number(one, "multiplication"), rel=1e-11
    )
    cell = laminate([0.3, 0.5, 0.2], axis="x", dimension=2, resolution=0.1)
    two = homogenize_multiplication(cell, TWO, spectrum=[0.9, 0.1])
    means = {name: two.coefficients[name].value for name in ("production", "scattering", "absorption")}
    means["removal"] = means["absorption"] + means["scattering"].sum(axis=1)
    assert uniform_multiplication(means, np.array([0.9, 0.1])) == pytest.approx(
        number(two, "multiplication"), rel=1e-10
    )


@pytest.mark.parametrize(("slow", "bounds", "largest"), [(1.0, None, 0), (0.03, None, 1), (0.03, False, 2)])
def test_error_is_the_largest_change(slow: float, bounds: bool | None, largest: int) -> None:
    """Of the migration area from the other degree, of the half-gap of k, or without bounds that of k."""
    cell = laminate([0.5, 0.5], axis="x", dimension=2, resolution=0.2, period=10.0, length_unit="cm")
    materials = {
        "layer1": CrossSections(diffusion=1.0, absorption=0.1, production=0.15),
        "layer2": CrossSections(diffusion=slow, absorption=0.02),
    }
    one, two = (homogenize_multiplication(cell, materials, degree=degree, bounds=bounds) for degree in (1, 2))
    k = one.coefficients["multiplication"]
    half = 0.0 if k.lower is None else 0.5 * (float(k.upper) / float(k.lower) - 1.0)
    errors = [
        np.linalg.norm(one.value - two.value, 2) / np.linalg.norm(one.value, 2),
        half,
        abs(number(two, "multiplication") / number(one, "multiplication") - 1.0) if bounds is False else 0.0,
    ]
    assert int(np.argmax(errors)) == largest
    assert one.estimated_error == pytest.approx(errors[largest], rel=1e-6)


def test_error_of_several_groups_is_the_largest_change() -> None:
    """Of the factor where groups differ, of the migration area of two that are one."""
    alike = {
        "layer1": CrossSections(diffusion=[1.0, 1.0], absorption=[0.1, 0.1], production=[0.15, 0.15]),
        "layer2": CrossSections(diffusion=[1.0, 1.0], absorption=[0.02, 0.02], production=[0.0, 0.0]),
    }
    for fractions, period, materials, largest in (([0.3, 0.5, 0.2], 1.0, TWO, 0), ([0.5, 0.5], 10.0, alike, 1)):
        cell = laminate(fractions, axis="x", dimension=2, resolution=0.2, period=period)
        spectrum = [0.5, 0.5] if materials is alike else None
        one, two = (homogenize_multiplication(cell, materials, degree=k, spectrum=spectrum) for k in (2, 1))
        factor = abs(number(two, "multiplication") / number(one, "multiplication") - 1.0)
        area = np.linalg.norm(one.value - two.value, 2) / np.linalg.norm(one.value, 2)
        assert int(np.argmax([factor, area])) == largest
        assert one.estimated_error == pytest.approx(max(factor, area), rel=1e-6)


def test_flux_of_phases_and_groups_is_relative_to_all_of_it() -> None:
    """Weighted by volume it adds up to one over all phases and groups, and a uniform medium has that of its groups."""
    fractions = np.array([0.3, 0.5, 0.2])
    flux = homogenize_multiplication(laminate(list(fractions), axis="x", dimension=2, resolution=0.2), TWO)
    assert float(np.sum(fractions @ flux.coefficients["flux"].value)) == pytest.approx(1.0, rel=1e-12)
    one = TWO["layer1"]
    tensor = homogenize_multiplication(slab(0.3), {"layer1": one, "layer2": one})
    slowed = one.scattering[0, 1] / one.removal[1]  # slow neutrons for each fast one
    assert tensor.coefficients["flux"].value == pytest.approx(np.tile([1.0, slowed], (2, 1)) / (1.0 + slowed), rel=1e-9)
    # Each neutron is born fast: L^2 of both groups, and the gain by what is fissioned when fast.
    born = one.production[0] + one.production[1] * slowed
    lengths = np.array(one.diffusion) / np.array(one.removal)
    area = lengths[0] + lengths[1] * one.production[1] * slowed / born
    assert tensor.value == pytest.approx(area * np.eye(2), rel=1e-9, abs=1e-12)


def test_bloch_waves_of_one_group() -> None:
    """k(B) of finite volumes at B = .05 and the migration area say the same."""
    tensor = homogenize_multiplication(slab(0.05), {"layer1": FUEL, "layer2": MODERATOR})
    fractions, b = [0.6, 0.4], 0.05
    k, at_b = (1.0 / bloch([FUEL, MODERATOR], fractions, x, 200, [1.0]).real for x in (0.0, b))
    assert (1.0 - at_b / k) / b**2 == pytest.approx(tensor.value[0, 0], rel=1e-3)


def test_bloch_waves_of_two_groups_without_symmetry() -> None:
    """Three layers in an order that differs from its mirror image: migration area and drift, by finite volumes."""
    fractions, b, chi = [0.3, 0.5, 0.2], 0.05, [1.0, 0.0]
    cell = laminate(fractions, axis="x", dimension=2, resolution=0.05)
    tensor = homogenize_multiplication(cell, TWO, degree=3)
    layers = [TWO[f"layer{i}"] for i in (1, 2, 3)]
    found = [[bloch(layers, fractions, x, n, chi) for x in (0.0, b)] for n in (100, 200)]
    rest, moved = ((4.0 * fine - coarse) / 3.0 for coarse, fine in zip(*found, strict=True))  # order two
    assert number(tensor, "multiplication") == pytest.approx(1.0 / rest.real, rel=1e-5)
    assert (moved.real / rest.real - 1.0) / b**2 == pytest.approx(tensor.value[0, 0], rel=2e-3)
    drift = tensor.coefficients["drift"].value
    assert abs(drift[0]) > 1e-4
    assert moved.imag / rest.real / b == pytest.approx(drift[0], rel=5e-3)
    assert drift[1] == pytest.approx(0.0, abs=1e-9)
    assert "no centre of symmetry" in tensor.warnings[0]


def test_groups_that_are_alike_are_one() -> None:
    fuel = CrossSections(
        diffusion=[0.05, 0.05], absorption=[1.0, 1.0], production=[1.5, 1.5], scattering=[[0, 0.4], [0.1, 0]]
    )
    moderator = CrossSections(diffusion=[0.1, 0.1], absorption=[0.3, 0.3], scattering=[[0, 2.0], [0.1, 0]])
    two = homogenize_multiplication(slab(0.1), {"layer1": fuel, "layer2": moderator}, spectrum=[0.7, 0.3])
    one = homogenize_multiplication(slab(0.1), {"layer1": FUEL, "layer2": MODERATOR})
    assert number(two, "multiplication") == pytest.approx(number(one, "multiplication"), rel=1e-10)
    assert np.allclose(two.value, one.value, rtol=2e-5)
    assert "drift" not in two.coefficients


def test_uniform_medium_of_two_groups() -> None:
    """k = nu S_f2 S_12 / (S_r1 S_a2), M^2 = D_1/S_r1 + D_2/S_a2: age and diffusion area."""
    same = CrossSections(
        diffusion=[1.2, 0.4], absorption=[0.01, 0.1], production=[0.0, 0.15], scattering=[[0.0, 0.03], [0.0, 0.0]]
    )
    tensor = homogenize_multiplication(slab(0.2), {"layer1": same, "layer2": same})
    assert number(tensor, "multiplication") == pytest.approx(0.15 * 0.03 / (0.04 * 0.1), rel=1e-10)
    assert np.allclose(tensor.value, (1.2 / 0.04 + 0.4 / 0.1) * np.eye(2), rtol=1e-9, atol=1e-8)
    assert number(tensor, "volume_multiplication") == pytest.approx(number(tensor, "multiplication"), rel=1e-10)


def test_thin_lattice_has_the_mean_by_volume() -> None:
    """The difference goes with the square of the period."""
    gaps = []
    for period in (0.1, 0.05):
        cell = laminate([0.6, 0.4], axis="x", dimension=2, resolution=0.1, period=period)
        gaps.append(number(homogenize_multiplication(cell, {"layer1": FUEL, "layer2": MODERATOR}), "multiplication"))
    assert gaps[0] - 1.25 == pytest.approx(4.0 * (gaps[1] - 1.25), rel=0.05)
    assert 0.0 < gaps[1] - 1.25 < 2e-4


def test_tolerance_refines() -> None:
    solution = solve_multiplication(slab(0.25), {"layer1": FUEL, "layer2": MODERATOR}, tolerance=2e-5)
    assert solution.tensor.reached
    assert len(solution.history) > 1
    assert np.allclose(np.diag(solution.tensor.value), [0.0811015930, 0.0846848442], rtol=2e-5)


def test_tolerance_of_two_groups() -> None:
    """The estimate covers what is off, at layers whose corners carry none of it and at steep pins."""
    cell = laminate([0.3, 0.5, 0.2], axis="x", dimension=2, resolution=0.33)
    solution = solve_multiplication(cell, TWO, tolerance=1e-4)
    exact = homogenize_multiplication(laminate([0.3, 0.5, 0.2], axis="x", dimension=2, resolution=0.1), TWO, degree=4)
    assert solution.tensor.reached
    assert len(solution.history) > 1
    assert solution.tensor.estimated_error <= 1e-4
    assert "adjoint" in solution.tensor.conventions["estimated_error"]
    assert number(solution.tensor, "multiplication") == pytest.approx(number(exact, "multiplication"), rel=1e-4)
    assert np.linalg.norm(solution.tensor.value - exact.value, 2) <= 1e-4 * np.linalg.norm(exact.value, 2)


def test_the_error_of_two_groups_is_where_the_flux_is_steep() -> None:
    """Around a pin that absorbs much, for its volume; and a refined mesh has less of it in sum."""
    sums = []
    for resolution in (0.2, 0.1):  # it is finer than that at the pin
        cell = fibre_array(fraction=0.05, dimension=2, resolution=resolution)
        gaps = solve_multiplication(cell, PINS | {"fibre": BLACK}).solved.gaps()
        corners = cell.raw.points[cell.raw.cells]
        middle = corners.mean(axis=1) - corners[cell.raw.phase_of_cell == cell.phases["fibre"]].mean(axis=(0, 1))
        away = np.linalg.norm(middle - np.round(middle), axis=1)
        area = 0.5 * np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1]))
        near, far = (gaps[part].sum() / area[part].sum() for part in ((away > 0.1) & (away < 0.25), away > 0.4))
        assert gaps.min() >= 0.0
        assert near > 2.0 * far
        sums.append(gaps.sum())
    assert sums[1] < 0.7 * sums[0]


def test_facets_of_groups_that_are_alike_change_what_those_of_one_do() -> None:
    cell = fibre_array(fraction=0.3, dimension=2, resolution=0.2)
    alike = {
        "fibre": CrossSections(
            diffusion=[0.05, 0.05], absorption=[1.0, 1.0], production=[1.5, 1.5], scattering=[[0, 0.4], [0.1, 0]]
        ),
        "matrix": CrossSections(diffusion=[0.1, 0.1], absorption=[0.3, 0.3], scattering=[[0, 2.0], [0.1, 0]]),
    }
    two = solve_multiplication(cell, alike, spectrum=[0.7, 0.3]).solved
    one = solve_multiplication(cell, {"fibre": FUEL, "matrix": MODERATOR}).solved
    assert factor_error(two.medium, two.dual) == pytest.approx(rate_error(one.medium, one.dual), rel=1e-4)


def test_the_estimate_of_facets_covers_what_they_change_in_two_groups() -> None:
    """Cells of second order have round pins."""
    flat = homogenize_multiplication(fibre_array(fraction=0.3, dimension=2, resolution=0.2), PINS, degree=3)
    round_ = homogenize_multiplication(fibre_array(fraction=0.3, dimension=2, resolution=0.15, order=2), PINS, degree=3)
    change = abs(number(flat, "multiplication") / number(round_, "multiplication") - 1.0)
    assert 1e-6 < change <= flat.relative_geometric_error
    assert flat.relative_geometric_error < 100.0 * change


def test_void_without_cross_sections_has_no_upper_bound() -> None:
    void = CrossSections(diffusion=1.0, absorption=0.0)
    tensor = homogenize_multiplication(slab(0.1), {"layer1": FUEL, "layer2": void})
    k = tensor.coefficients["multiplication"]
    assert k.upper is None
    assert k.lower is not None
    assert "no upper bound" in tensor.warnings[0]
    assert k.lower == pytest.approx(1.5, rel=1e-4)  # nothing but the fuel absorbs


def _on_ranks(comm: MPI.Comm) -> dict[str, list[float]]:
    cell = laminate([0.3, 0.5, 0.2], axis="x", dimension=2, resolution=0.2, comm=comm)
    tensor = homogenize_multiplication(cell, TWO)
    own = homogenize_multiplication(slab(0.2, comm), {"layer1": FUEL, "layer2": MODERATOR})
    k = own.coefficients["multiplication"]
    return {"found": [number(tensor, "multiplication"), *tensor.value.ravel(), float(k.lower), float(k.upper)]}


def test_ranks_agree(on_ranks) -> None:
    one, two, three = (np.array(each["found"]) for each in on_ranks(_on_ranks))
    assert np.allclose(one, two, rtol=1e-8, atol=1e-9)
    assert np.allclose(one, three, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "options", "named"),
    [
        ({"diffusion": 0.0}, {}, "diffusion"),
        ({"diffusion": math.nan}, {}, "diffusion"),
        ({"absorption": -1.0}, {}, "absorption"),
        ({"production": "much"}, {}, "production"),
        ({"scattering": [[0.0, 1.0]]}, {}, "scattering"),
        ({"diffusion": [0.1, 0.2]}, {}, "absorption"),
        ({"production": 0.0}, {}, "production"),
        ({}, {"spectrum": [0.5]}, "spectrum"),
        ({}, {"spectrum": [0.5, 0.5]}, "spectrum"),
        ({}, {"symmetry": "auto"}, "symmetry"),
    ],
)
def test_bad_input_is_refused(change: dict, options: dict, named: str) -> None:
    fuel = {"diffusion": 0.05, "absorption": 1.0, "production": 1.5} | change
    with pytest.raises(InputError) as caught:
        homogenize_multiplication(slab(0.3), {"layer1": CrossSections(**fuel), "layer2": MODERATOR}, **options)
    assert caught.value.name.startswith(named)


def test_phases_and_groups_must_fit() -> None:
    with pytest.raises(InputError, match="every phase"):
        homogenize_multiplication(slab(0.3), {"layer1": FUEL})
    with pytest.raises(InputError, match="one of the phases"):
        homogenize_multiplication(slab(0.3), {"layer1": FUEL, "layer2": MODERATOR, "other": FUEL})
    with pytest.raises(InputError, match="one number of groups"):
        homogenize_multiplication(slab(0.3), {"layer1": FUEL, "layer2": TWO["layer2"]})
    vacuum = CrossSections(diffusion=1.0, absorption=0.0, production=1.0)
    with pytest.raises(InputError, match="infinite"):
        homogenize_multiplication(slab(0.3), {"layer1": vacuum, "layer2": vacuum})
    cell = laminate([0.3, 0.5, 0.2], axis="x", dimension=2, resolution=0.2)
    with pytest.raises(InputError, match="bounds"):
        homogenize_multiplication(cell, TWO, bounds=True)
    with pytest.raises(InputError, match="tolerance"):
        homogenize_multiplication(fibre_array(fraction=0.3, dimension=2, resolution=0.3, order=2), PINS, tolerance=1e-3)
