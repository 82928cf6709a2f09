"""Coefficients with a value for each voxel or mesh element: the medium that they are, exactly."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from homfem.cells import image_cell
from homfem.certify import homogenize_diffusion, homogenize_elasticity
from homfem.config import make_config
from homfem.grid import Image, homogenize_image
from homfem.parameters import InputError
from homfem.runs.meshless import solve_meshless
from homfem.runs.physics import solve_effective
from homfem.runs.shapes import make_cell
from homfem.stiffness import isotropic

RANDOM = np.random.default_rng(11)


def refused(message, make):
    with pytest.raises(InputError) as caught:
        make()
    assert re.search(message, str(caught.value)), str(caught.value)


def matrices(number, d):
    """Positive definite matrices, none of them diagonal."""
    half = RANDOM.normal(size=(number, d, d))
    return half @ half.transpose(0, 2, 1) + 0.3 * np.eye(d)


def two_ways(shape, values):
    """An image of one phase with a field, and the same medium with a phase for each value; a third phase insulates."""
    number = RANDOM.integers(0, len(values), shape)
    number.reshape(-1)[: len(values)] = np.arange(len(values))
    walls = np.zeros(shape, dtype=bool)
    walls[(1,) * len(shape)] = walls[(2,) * len(shape)] = True
    field = np.where(walls.reshape(*shape, *[1] * (values.ndim - 1)), np.nan, values[number])
    names = tuple(f"p{k}" for k in range(len(values)))
    one = Image(phases=walls.astype(int), names=("a", "wall"), voxel=tuple(1.0 + 0.5 * np.arange(len(shape))))
    many = Image(phases=np.where(walls, len(values), number), names=(*names, "wall"), voxel=one.voxel)
    return one, field, many, dict(zip(names, values, strict=True))


@pytest.mark.parametrize("d", [2, 3])
def test_a_field_is_the_medium_of_as_many_phases(d):
    shape = (6, 5, 4)[:d]
    for values in (10.0 ** RANDOM.uniform(-1, 1, 5), matrices(5, d)):
        one, field, many, coefficients = two_ways(shape, values)
        by_field = homogenize_image(one, {"a": field}, rtol=1e-9, thin_gaps="solve")
        by_phases = homogenize_image(many, coefficients, rtol=1e-9, thin_gaps="solve")
        on_mesh = homogenize_diffusion(image_cell(one), {"a": field})
        phases_on_mesh = homogenize_diffusion(image_cell(many), coefficients)
        for mine, other in ((by_field, by_phases), (on_mesh, phases_on_mesh)):
            scale = np.abs(other.value).max()
            for side in ("value", "lower", "upper"):
                assert np.abs(getattr(mine, side) - getattr(other, side)).max() < 1e-6 * scale
            assert mine.relative_gap > 1e-3
        assert np.linalg.eigvalsh(by_field.upper - on_mesh.lower)[0] > 0.0
        assert np.linalg.eigvalsh(on_mesh.upper - by_field.lower)[0] > 0.0


def test_a_field_that_varies_along_one_axis_is_a_laminate():
    """Exactly: the harmonic mean across, the arithmetic mean along; on refined meshes and grids as well."""
    layers = np.array([1.0, 4.0, 0.2, 30.0])
    field = np.repeat(layers, 16).reshape(4, 4, 4)
    image = Image(phases=np.zeros((4, 4, 4), dtype=int), names=("a",), voxel=(1.0, 2.0, 0.5))
    exact = np.diag([1.0 / np.mean(1.0 / layers), layers.mean(), layers.mean()])
    found = [
        homogenize_image(image, {"a": field}, rtol=1e-10),
        homogenize_image(image, {"a": field}, rtol=1e-10, refine=2),
        homogenize_diffusion(image_cell(image), {"a": field}),
        homogenize_diffusion(image_cell(image, elements="voxel"), {"a": field}),
        homogenize_diffusion(image_cell(image), {"a": field[..., None, None] * np.eye(3)}, symmetry="auto"),
    ]
    for tensor in found:
        assert tensor.value == pytest.approx(exact, rel=1e-6, abs=1e-6)


def test_refinement_keeps_the_value_of_the_element():
    values = 10.0 ** RANDOM.uniform(-1, 1, (4, 4))
    image = Image(phases=np.zeros((4, 4), dtype=int), names=("a",))
    coarse, fine = (homogenize_diffusion(image_cell(image), {"a": values}, degree=1, lower_degree=0, **options)
                    for options in ({}, {"tolerance": 0.1 * 1e-1}))  # fmt: skip
    reference = homogenize_image(image, {"a": values}, tolerance=5e-3)
    assert fine.relative_gap < 1e-2 < coarse.relative_gap
    for tensor in (coarse, fine):
        assert np.linalg.eigvalsh(tensor.upper - reference.lower)[0] > 0.0
        assert np.linalg.eigvalsh(reference.upper - tensor.lower)[0] > 0.0


def solved(comm):
    values = 10.0 ** np.random.default_rng(2).uniform(-1, 1, (5, 4, 3))
    image = Image(phases=np.arange(60).reshape(5, 4, 3) % 7 // 6, names=("a", "b"))
    cell = image_cell(image, comm=comm)
    tensor = homogenize_diffusion(cell, {"a": values}, bounds=False)
    part = cell.restrict(["a"])
    elements = comm.allgather(part.element_of_cell[: part.mesh.topology.index_map(3).size_local].tolist())
    return {"value": tensor.value.tolist(), "elements": sorted(itertools.chain(*elements))}


def test_ranks_agree(on_ranks):
    one, two = on_ranks(solved, ranks=(1, 2))
    assert two["value"] == pytest.approx(np.array(one["value"]), rel=1e-7)
    assert one["elements"] == two["elements"]
    assert len(one["elements"]) == 6 * np.count_nonzero(np.arange(60) % 7 // 6 == 0)


def test_fields_that_do_not_fit_are_refused():
    image = Image(phases=np.arange(12).reshape(3, 4) % 2, names=("a", "b"))
    good = np.ones((3, 4))
    bad = good.copy()
    bad[1, 1] = -1.0  # of phase b
    cell = image_cell(image)
    skew = good[..., None, None] * np.array([[1.0, 0.5], [0.4, 1.0]])
    indefinite = good[..., None, None] * np.array([[1.0, 2.0], [2.0, 1.0]])
    no_matrix = r"\[0, 0\] = .*a symmetric positive definite matrix"
    for solve, medium, name in ((homogenize_image, image, r"\.b"), (homogenize_diffusion, cell, r"\['b'\]")):
        for coefficients, message in (
            ({"a": 1.0, "b": bad}, rf"coefficients{name}\[1, 1\] = -1.0: it must be a finite number > 0"),
            ({"a": good.T}, r"of shape \(4, 3\)': .*or mesh element: of shape \(3, 4\) or \(3, 4, 2, 2\)"),
            ({"a": skew, "b": 1.0}, no_matrix),
            ({"a": indefinite, "b": 1.0}, no_matrix),
            ({"a": good * np.nan, "b": 1.0}, r"\[0, 0\] = nan"),
        ):
            refused(message, lambda solve=solve, medium=medium, given=coefficients: solve(medium, given))
    small = Image(phases=np.zeros((2, 2), dtype=int), names=("a",))
    refused(
        r"may be either. Give a matrix as lists, or cut the voxels", lambda: homogenize_image(small, {"a": np.eye(2)})
    )
    refused("estimate", lambda: homogenize_image(image, {"a": good, "b": 1.0}, estimate="calibrated"))


def write_fields(folder):
    """A field of tensors in the ways that files have, and the medium that they mean."""
    import h5py
    import nibabel
    import nrrd

    shape = (5, 4, 3)
    values = matrices(60, 3).reshape(*shape, 3, 3)
    pick = np.stack([values[..., i, j] for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))], axis=-1)
    np.save(folder / "image.npy", np.zeros(shape, dtype=np.uint8))
    np.save(folder / "full.npy", values)
    np.savez(folder / "six.npz", tensors=pick, other=values[..., 0, 0])
    with h5py.File(folder / "full.h5", "w") as file:
        file["dti/D"] = values
    kinds = ["3D-symmetric-matrix", "domain", "domain", "domain"]
    nrrd.write(str(folder / "six.nrrd"), np.moveaxis(pick, -1, 0), {"kinds": kinds})
    lower = pick[..., [0, 1, 3, 2, 4, 5]][:, :, :, None]  # NIfTI: xx, xy, yy, xz, yz, zz
    image = nibabel.Nifti1Image(lower, np.eye(4))
    image.header.set_intent(1005)
    image.to_filename(folder / "six.nii.gz")
    return values


@pytest.mark.filterwarnings("ignore:datetime")
def test_tensors_of_every_file_are_the_same_medium(tmp_path):
    from mpi4py import MPI

    values = write_fields(tmp_path)
    image = Image(phases=np.zeros((5, 4, 3), dtype=int), names=("tissue",))
    exact = homogenize_image(image, {"tissue": values})
    on_mesh = homogenize_diffusion(image_cell(image), {"tissue": values}, degree=1)
    six = ["xx", "xy", "xz", "yy", "yz", "zz"]
    for field in (
        {"file": "full.npy"},
        {"file": "six.npz", "name": "tensors", "components": six},
        {"file": "full.h5", "name": "dti/D"},
        {"file": "six.nrrd"},
        {"file": "six.nii.gz"},
    ):
        keys = {"physics": "diffusion", "phases": {"tissue": {"field": field | {"unit": "mm^2/s"}}}}
        cell = {"shape": "image", "file": "image.npy", "labels": {"tissue": 0}, "voxel": "1 mm"}
        config = make_config({"cell": cell, "effective": keys | {"method": "grid"}}, folder=tmp_path)
        tensor = solve_meshless(config.cell, config.effective, tmp_path).tensor
        assert tensor.value == pytest.approx(exact.value, rel=1e-5), field
        assert tensor.unit == "mm^2/s"
    config = make_config({"cell": cell, "effective": keys | {"degree": 1}}, folder=tmp_path)
    tensor = solve_effective(config.effective, make_cell(config.cell, MPI.COMM_SELF, tmp_path), config={}).tensor
    assert tensor.value == pytest.approx(on_mesh.value, rel=1e-6)


def test_fields_of_a_config_are_refused_by_their_key(tmp_path):
    np.save(tmp_path / "image.npy", np.zeros((4, 3), dtype=np.uint8))
    np.savez(tmp_path / "a.npz", D=np.ones((4, 3)), E=np.ones((3, 4)), six=np.ones((4, 3, 5)))
    cell = {"shape": "image", "file": "image.npy", "labels": {"t": 0}, "voxel": "1 mm"}
    good = {"file": "a.npz", "name": "D", "unit": "mm^2/s"}

    def solve(field, **keys):
        phases = {"t": {"field": field}}
        effective = {"physics": "diffusion", "method": "grid", "phases": phases} | keys
        config = make_config({"cell": cell, "effective": effective}, folder=tmp_path)
        return solve_meshless(config.cell, config.effective, tmp_path).tensor

    assert solve(good).value == pytest.approx(np.eye(2))
    at = r"^effective\.phases\.t\.field"
    for change, message in (
        ({"file": "b.npz"}, rf"{at}\.file = 'b.npz'.*exists"),
        ({"name": "Q"}, rf"{at}\.name = 'Q'.*'D', 'E', 'six'"),
        ({"unit": "mm"}, rf"{at}\.unit = 'mm'"),
        ({"colour": 1}, r"effective\.phases\.t\.field.*colour"),
        ({"components": ["xx", "xy"]}, rf"{at}\.components"),
        ({"name": "six", "components": ["xx", "xy", "yy"]}, rf"{at}\.components = \(4, 3, 5\)"),
        ({"name": "E"}, r"coefficients\.t = .*shape \(3, 4\).*of shape \(4, 3\)"),
    ):
        refused(message, lambda change=change: solve(good | change))
    refused(r"effective\.phases\.t\.field.*a table such as", lambda: solve("a.npz"))


def test_moduli_of_each_voxel_are_the_stiffness_of_as_many_phases(tmp_path):
    from mpi4py import MPI

    number = np.arange(12).reshape(4, 3) % 3
    moduli = [{"young": 1.0, "poisson": 0.3}, {"young": 7.0, "poisson": 0.1}, {"young": 0.2, "poisson": 0.45}]
    many = image_cell(Image(phases=number, names=("a", "b", "c")))
    one = image_cell(Image(phases=np.zeros((4, 3), dtype=int), names=("s",)))
    fields = {key: np.array([entry[key] for entry in moduli])[number] for key in ("young", "poisson")}
    voigt = np.array([isotropic(dimension=2, **entry) for entry in moduli])[number]
    exact = homogenize_elasticity(many, dict(zip("abc", moduli, strict=True)))
    for given in (fields, voigt, fields | {"poisson": fields["poisson"]}):
        tensor = homogenize_elasticity(one, {"s": given}, symmetry="auto")
        for side in ("value", "lower", "upper"):
            assert getattr(tensor, side) == pytest.approx(getattr(exact, side), rel=1e-6, abs=1e-7)
    np.save(tmp_path / "image.npy", np.zeros((4, 3), dtype=np.uint8))
    np.save(tmp_path / "E.npy", fields["young"] * 1e3)
    cell = {"shape": "image", "file": "image.npy", "labels": {"s": 0}, "voxel": "1 mm"}

    def solve(**field):
        young = {"field": {"file": "E.npy", "unit": "MPa"} | field}
        effective = {"physics": "elasticity", "phases": {"s": {"young": young, "poisson": 0.3}}}
        config = make_config({"cell": cell, "effective": effective}, folder=tmp_path)
        return solve_effective(config.effective, make_cell(config.cell, MPI.COMM_SELF, tmp_path), config={}).tensor

    exact = homogenize_elasticity(
        many, {name: entry | {"poisson": 0.3} for name, entry in zip("abc", moduli, strict=True)}
    )
    tensor = solve()
    assert tensor.unit == "MPa"
    assert tensor.value == pytest.approx(1e3 * exact.value, rel=1e-6, abs=1e-4)
    refused(r"effective\.phases\.s\.young\.field\.file = 'F.npy'.*exists", lambda: solve(file="F.npy"))
    refused(r"effective\.phases\.s\.young\.field\.unit", lambda: solve(unit="mm"))
    refused(r"effective\.phases\.s\.young\.field\.name", lambda: solve(name="E"))


def test_stiffnesses_of_elements_that_do_not_fit_are_refused():
    cell = image_cell(Image(phases=np.zeros((4, 3), dtype=int), names=("s",)))
    ones = np.ones((4, 3))
    label = r"stiffnesses\['s'\]"
    for given, message in (
        ({"young": ones.T, "poisson": 0.3}, rf"{label}\.young = 'an array of shape \(3, 4\)'.*shape \(4, 3\)"),
        ({"young": -ones, "poisson": 0.3}, rf"{label}\[0, 0\].*positive definite"),
        ({"young": ones, "poisson": 0.5}, rf"{label}\[0, 0\].*positive definite"),
        ({"young": ones, "shear": 0.5}, "given by young and poisson"),
        (np.ones((4, 3, 6, 6)), rf"{label}.*3x3 Voigt matrix for each voxel"),
        (ones, rf"{label}.*3x3 Voigt matrix for each voxel"),
    ):
        refused(message, lambda given=given: homogenize_elasticity(cell, {"s": given}))
