"""Compiled forms: kept in the process for all meshes; no lock of an ended process stops a later one."""

from __future__ import annotations

import gc
import os
import time
import weakref

import basix.ufl
import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from mpi4py import MPI

from homfem import _dolfinx, solve
from homfem.cells import fibre_array
from homfem.solve import compile_form, forms, function_space


def _lock(folder, name, age=0.0, finished=False):
    path = folder / f"libffcx_forms_{name}.c"
    path.touch()
    os.utime(path, (time.time() - age,) * 2)
    if finished:
        path.with_suffix(".c.cached").touch()
    return path


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(forms, "_cache", lambda: tmp_path)
    forms._clear_old_locks.cache_clear()
    yield tmp_path
    forms._clear_old_locks.cache_clear()


def test_locks_that_nobody_waits_for_any_more_are_removed_once(cache):
    old, new = _lock(cache, "old", age=700.0), _lock(cache, "new", age=500.0)
    done, other = _lock(cache, "done", age=700.0, finished=True), cache / "other.c"
    other.touch()
    # Forms that no other test has: what a process keeps is not made again.
    volume = compile_form(fem.Constant(mesh.create_unit_interval(MPI.COMM_SELF, 2), 1.0) ** 7 * ufl.dx)
    assert fem.assemble_scalar(volume) == pytest.approx(1.0)
    assert [path.exists() for path in (old, new, done, other)] == [False, True, True, True]
    again = _lock(cache, "old", age=700.0)
    compile_form(fem.Constant(mesh.create_unit_interval(MPI.COMM_SELF, 2), 1.0) ** 8 * ufl.dx)
    assert again.exists()


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_takes_its_own_lock_away(cache, monkeypatch, end):
    others = _lock(cache, "others", age=5.0)

    def interrupted(*_, **__):
        _lock(cache, "mine")
        raise end

    monkeypatch.setattr(forms._dolfinx, "compile_kernels", interrupted)
    with pytest.raises(end):
        compile_form(fem.Constant(mesh.create_unit_interval(MPI.COMM_SELF, 2), 1.0) ** 5 * ufl.dx)
    assert others.exists()
    assert not (cache / "libffcx_forms_mine.c").exists()


def test_the_cache_is_the_one_that_forms_go_to():
    """The module of a compiled form lies in it, beside the mark that it is finished."""
    form = compile_form(fem.Constant(mesh.create_unit_interval(MPI.COMM_SELF, 2), 3.0) * ufl.dx)
    source = forms._cache() / f"{form.module.__name__.rpartition('.')[2]}.c"
    assert source.is_file()
    assert source.with_suffix(".c.cached").exists()


@pytest.fixture
def compilations(monkeypatch):
    """The signatures of the forms that are not found in the process, which knows none at first."""
    monkeypatch.setattr(forms, "_KERNELS", {})
    seen, compiled = [], forms._dolfinx.compile_kernels

    def compile_kernels(form, options):
        seen.append(form.signature())
        return compiled(form, options)

    monkeypatch.setattr(forms._dolfinx, "compile_kernels", compile_kernels)
    return seen


def square(n, kind=mesh.CellType.triangle, comm=MPI.COMM_SELF):
    return mesh.create_unit_square(comm, n, n, kind)


def weighted(domain, weight, power):
    """The integral of weight (x^power - 0) over the unit square, weight / (power + 1): two functions and a constant."""
    space = fem.functionspace(domain, ("Lagrange", 2))
    zero, u = fem.Function(space), fem.Function(space)
    u.interpolate(lambda x: x[0] ** power)
    return fem.Constant(domain, weight) * (u - zero) * ufl.dx


def test_a_form_is_compiled_once_for_all_meshes_coefficients_and_constants(compilations):
    for n, weight, power in ((2, 3.0, 1), (5, 3.0, 2), (3, -1.0, 2)):
        value = fem.assemble_scalar(compile_form(weighted(square(n), weight, power)))
        assert value == pytest.approx(weight / (power + 1), abs=1e-14)
    assert len(compilations) == 1


def test_kernels_on_curved_cells_of_high_order_have_loops_in_vectors(monkeypatch):
    """The order of the places decides, not that of the functions."""
    monkeypatch.setattr(forms, "_KERNELS", {})
    chosen, compiled = [], forms._dolfinx.compile_kernels

    def compile_kernels(form, options):
        chosen.append(options.get("cffi_extra_compile_args"))
        return compiled(form, options)

    monkeypatch.setattr(forms._dolfinx, "compile_kernels", compile_kernels)
    for order in (1, 2, 3, 4):
        cell = fibre_array(fraction=0.3, resolution=0.3, order=order, comm=MPI.COMM_SELF)
        chosen.clear()
        assert solve.integrate(fem.Constant(cell.mesh, 2.0) * ufl.dx) == pytest.approx(2.0, rel=1e-12)
        assert chosen[-1] == (["-O3", "-g0"] if order > 2 else None)


def test_coefficients_that_a_derivative_loses_are_left_out():
    space = fem.functionspace(square(2), ("Lagrange", 1))
    b, u, a = fem.Function(space), fem.Function(space), fem.Function(space)
    for function, value in ((b, 5.0), (u, 7.0), (a, 3.0)):
        function.x.array[:] = value
    form = compile_form(ufl.derivative((b + u * a) * ufl.dx, u, ufl.TestFunction(space)))
    assert fem.assemble_vector(form).array.sum() == pytest.approx(3.0)


def test_what_a_kernel_depends_on_makes_another_form(compilations):
    one = square(2)
    x = ufl.SpatialCoordinate(one)
    u = ufl.TestFunction(fem.functionspace(one, ("Lagrange", 1)))
    quadratic = ufl.TestFunction(fem.functionspace(one, ("Lagrange", 2)))
    quadrilaterals = square(2, mesh.CellType.quadrilateral)
    integrands = [x[0] ** 4 * ufl.dx, x[0] ** 4 * ufl.dx(metadata={"quadrature_degree": 1}), x[0] ** 4 * ufl.ds,
                  u * ufl.dx, quadratic * ufl.dx, ufl.SpatialCoordinate(quadrilaterals)[0] ** 4 * ufl.dx]  # fmt: skip
    values = []
    for form in (*integrands, *integrands):
        compiled = compile_form(form)
        values.append(fem.assemble_vector(compiled).array.sum() if compiled.rank else fem.assemble_scalar(compiled))
    assert values[:6] == values[6:]
    midpoints = sum((i / 6) ** 4 for i in (1, 2, 4, 5)) / 4
    assert values[:6] == pytest.approx([0.2, midpoints, 1.0 + 2 * 0.2, 1.0, 1.0, 0.2])
    assert len(compilations) == len(integrands)


def test_subdomains_are_those_of_the_form(compilations):
    for n, edge in ((4, 0.25), (8, 0.5)):
        domain = square(n)
        left = mesh.locate_entities(domain, 2, lambda x, edge=edge: x[0] <= edge + 1e-12)
        marks = np.full(2 * n * n, 3, dtype=np.int32)
        marks[left] = 7
        tags = mesh.meshtags(domain, 2, np.arange(len(marks), dtype=np.int32), marks)
        dx = ufl.Measure("dx", domain=domain, subdomain_data=tags)
        one = fem.Constant(domain, 1.0)
        assert fem.assemble_scalar(compile_form(one * dx(7))) == pytest.approx(edge)
        assert fem.assemble_scalar(compile_form(one * dx(7) + 2.0 * one * dx)) == pytest.approx(edge + 2.0)
        assert fem.assemble_scalar(compile_form(one * dx(3))) == pytest.approx(1.0 - edge)
        assert fem.assemble_scalar(compile_form(one * dx(2))) == 0.0
        given = ufl.Measure("dx", domain=domain, subdomain_data=[(2, left)])
        assert fem.assemble_scalar(compile_form(one * given(2))) == pytest.approx(edge)
    assert len(compilations) == 4  # one for each number: neither the mesh nor its entities make another one


def test_two_subdomain_data_in_one_form_are_refused():
    domain = square(2)
    tags = [mesh.meshtags(domain, 2, np.arange(i, dtype=np.int32), np.ones(i, dtype=np.int32)) for i in (2, 4)]
    one = fem.Constant(domain, 1.0)
    with pytest.raises(ValueError, match="cell integrals of one form have different subdomain data"):
        compile_form(sum(one * ufl.Measure("dx", domain=domain, subdomain_data=data)(1) for data in tags))


def test_a_compiled_form_keeps_no_mesh_alive(compilations):
    domain = square(2)
    assert fem.assemble_scalar(compile_form(weighted(domain, 1.0, 1))) == pytest.approx(0.5)
    gone = weakref.ref(domain)
    del domain
    gc.collect()
    assert gone() is None
    assert len(compilations) == 1


def case_one_rank_knows_more(comm):
    forms._KERNELS.clear()
    if comm.rank == 0:
        compile_form(weighted(square(2), 1.0, 1))
    domain = square(3, comm=comm)
    value = forms.integrate(weighted(domain, 4.0, 1))
    return {"value": value, "known": len(forms._KERNELS)}


def test_ranks_of_which_one_alone_knows_a_form(on_ranks):
    for answer in on_ranks(case_one_rank_knows_more):
        assert answer == {"value": pytest.approx(2.0), "known": 1}


@pytest.mark.parametrize(("family", "degree", "shape"), [("Lagrange", 2, ()), ("CR", 1, (3,)), ("DG", 0, (2, 2))])
def test_an_element_that_keeps_its_cell_is_the_one_of_basix(family, degree, shape):
    ours, theirs = (
        _dolfinx.element(family, "triangle", degree, shape),
        basix.ufl.element(family, "triangle", degree, shape=shape),
    )
    assert ours is _dolfinx.element(family, "triangle", degree, shape)
    assert ours.cell is ours.cell
    assert (ours, ours.cell, repr(ours), hash(ours)) == (theirs, theirs.cell, repr(theirs), hash(theirs))
    domain = square(2)
    signatures = []
    for space in (function_space(domain, family, degree, shape), fem.functionspace(domain, theirs)):
        u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
        signatures.append((ufl.inner(u, v) * ufl.dx).signature())
    assert signatures[0] == signatures[1]


def test_a_compiled_form_stays_and_one_without_integrals_is_none():
    form = compile_form(fem.Constant(square(2), 1.0) * ufl.dx)
    assert compile_form(form) is form
    assert compile_form(ufl.Form([])) is None


@pytest.fixture
def built(compilations, monkeypatch):
    """How often a form was built in UFL, in a process that has none at first."""
    monkeypatch.setattr(forms, "_TEMPLATES", {})
    return []


def formula(built, domain, *, degree=1, shape=(), late=False, tags=None, other=None):
    """``sum_i b v_i + k (u - a) v_i`` with a = 3, u = 7, b = 5, k = 2, summed over v: 13 of each component.

    ``late`` makes the functions in the other order, which is that of UFL; ``tags`` are over what is integrated.
    """
    space, flat = function_space(domain, "Lagrange", degree, shape), function_space(domain, "DG", 0)
    values = {"b": 5.0, "u": 7.0, "a": 3.0}
    made = {}
    for name in reversed(values) if late else values:
        made[name] = fem.Function(flat)
        made[name].x.array[:] = values[name]
    k, unused = (fem.Constant(domain, value) for value in ((2.0, 100.0) if late else (2.0, -100.0)))
    made |= other or {}
    v = ufl.TestFunction(space)

    def build():
        built.append(domain)
        every = v if not v.ufl_shape else sum(v[i] for i in range(v.ufl_shape[0]))
        dx = ufl.dx if tags is None else ufl.Measure("dx", domain=domain, subdomain_data=tags)(1)
        return (made["b"] + k * (made["u"] - made["a"])) * every * dx

    terminals = forms.Terminals(
        mesh=domain, spaces=[space], functions=[made[name] for name in ("a", "u", "b")], constants=[unused, k]
    )
    return fem.assemble_vector(forms.compile_formula("all" if tags is None else "part", build, terminals)).array.sum()


def test_a_formula_is_built_once_for_all_meshes_and_orders_of_its_functions(built):
    for n, late in ((2, False), (4, True), (3, False)):
        assert formula(built, square(n), late=late) == pytest.approx(13.0)
    assert len(built) == 1


def test_a_formula_is_built_again_for_other_elements(built):
    quadrilaterals = mesh.CellType.quadrilateral
    for _ in range(2):
        assert formula(built, square(2)) == pytest.approx(13.0)
        assert formula(built, square(2), degree=2) == pytest.approx(13.0)
        assert formula(built, square(2), shape=(3,)) == pytest.approx(39.0)
        assert formula(built, square(2, quadrilaterals)) == pytest.approx(13.0)
    assert len(built) == 4


def test_a_form_of_other_terminals_or_a_part_of_the_mesh_is_built_each_time(built):
    assert formula(built, square(2)) == pytest.approx(13.0)
    for values in ((0, 1), (1, 1)):
        domain = square(2)
        flat = function_space(domain, "DG", 0)
        twice = fem.Function(flat)
        twice.x.array[:] = 4.0
        assert formula(built, domain, other={"u": twice, "a": twice}) == pytest.approx(5.0)
        tags = mesh.meshtags(domain, 2, np.arange(8, dtype=np.int32), np.repeat(values, 4).astype(np.int32))
        assert formula(built, domain, tags=tags) == pytest.approx(13.0 * np.mean(values))
    assert len(built) == 5


def test_a_formula_with_a_function_that_is_no_terminal_is_not_kept(built):
    domain = square(2)
    for value in (1.0, 2.0):
        hidden = fem.Constant(domain, value)
        terminals = forms.Terminals(mesh=domain)
        form = forms.compile_formula("hidden", lambda hidden=hidden: hidden * ufl.dx, terminals)
        assert fem.assemble_scalar(form) == value
    assert forms._TEMPLATES == {}


def test_a_kept_formula_keeps_no_mesh_alive(built):
    domain = square(2)
    assert formula(built, domain) == pytest.approx(13.0)
    gone = weakref.ref(domain)
    built.clear()
    del domain
    gc.collect()
    assert gone() is None
    assert len(forms._TEMPLATES) == 1


def case_one_rank_knows_a_formula(comm):
    forms._TEMPLATES.clear()
    built = []
    if comm.rank == 0:
        formula(built, square(2))
    total = comm.allreduce(formula(built, square(3, comm=comm)))
    return {"value": total, "built": len(built) - (comm.rank == 0), "known": len(forms._TEMPLATES)}


def test_ranks_of_which_one_alone_knows_a_formula(on_ranks):
    for answer in on_ranks(case_one_rank_knows_a_formula):
        assert answer["known"] == 1
        assert answer["value"] == pytest.approx(13.0)


def test_a_formula_is_built_again_for_other_cells_and_shapes_of_constants(built):
    for kind in (mesh.CellType.triangle, mesh.CellType.quadrilateral):
        for values in (2.0, [1.0, 3.0], [1.0, 2.0, 4.0]):
            domain = square(2, kind)
            k = fem.Constant(domain, values)

            def build(k=k, domain=domain):
                every = sum(k[i] for i in range(k.ufl_shape[0])) if k.ufl_shape else k
                return every * ufl.SpatialCoordinate(domain)[0] ** 2 * ufl.dx

            form = forms.compile_formula("moment", build, forms.Terminals(mesh=domain, constants=[k]))
            assert fem.assemble_scalar(form) == pytest.approx(np.sum(values) / 3.0)


def case_integrals(comm):
    domain = square(4, comm=comm)
    x, k = ufl.SpatialCoordinate(domain), fem.Constant(domain, 2.0)
    f = fem.Function(function_space(domain, "Lagrange", 1))
    f.interpolate(lambda x: x[0])
    built = []

    def moments(c):
        built.append(c)
        return (c[0, 0] * k + c[0, 1] * f + c[1, 0] * x[1] ** 2 + c[1, 1]) * ufl.dx

    forms._TEMPLATES.clear()
    found = [forms.integrals(name, moments, domain, [k, f], (2, 2)).tolist() for name in ("moments", "moments", None)]
    return {"found": found, "built": len(built), "volume": forms.volume(domain)}


def test_integrals_of_all_components_come_from_one_form(on_ranks):
    for answer in on_ranks(case_integrals):
        for found in answer["found"]:
            assert np.allclose(found, [[2.0, 0.5], [1.0 / 3.0, 1.0]], rtol=1e-13, atol=0.0)
        assert answer["built"] == 2  # the one without a name anew
        assert answer["volume"] == pytest.approx(1.0, rel=1e-13)
