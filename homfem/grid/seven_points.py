# mypy: disallow-untyped-defs=False
r"""The loops over voxels that exchange with their six neighbours, compiled. Imported where they are used.

Row i of an operator is

.. math:: d_ix_i-\sum_a(T_a[i]+\tfrac12F_a[i])\,x_{i-e_a}-\sum_a(T_a[i+e_a]-\tfrac12F_a[i+e_a])\,x_{i+e_a} :

``T[a]`` is what the lower face of a voxel along axis a lets through, ``F[a]`` what flows through it, None where nothing
flows. All arrays have three axes; a plane image has one voxel along the first. Indices wrap around.
"""

from __future__ import annotations

from homfem.grid.kernels import _inline, _parallel, _serial, prange


@_inline
def _neighbours(T, F, x, i, j, k):
    """What the neighbours of a voxel add to its row, with the other sign."""
    n0, n1, n2 = x.shape
    iu, ju, ku = i + 1 if i < n0 - 1 else 0, j + 1 if j < n1 - 1 else 0, k + 1 if k < n2 - 1 else 0
    il, jl, kl = i - 1 if i else n0 - 1, j - 1 if j else n1 - 1, k - 1 if k else n2 - 1
    a, b, c = x[il, j, k], x[i, jl, k], x[i, j, kl]
    d, e, f = x[iu, j, k], x[i, ju, k], x[i, j, ku]
    total = T[2, i, j, k] * c + T[2, i, j, ku] * f + T[1, i, j, k] * b + T[1, i, ju, k] * e
    if n0 > 1:
        total += T[0, i, j, k] * a + T[0, iu, j, k] * d
    if F is not None:
        skew = F[2, i, j, k] * c - F[2, i, j, ku] * f + F[1, i, j, k] * b - F[1, i, ju, k] * e
        if n0 > 1:
            skew += F[0, i, j, k] * a - F[0, iu, j, k] * d
        total += 0.5 * skew
    return total


@_parallel
def product(T, F, diagonal, x, out):
    """Set ``out`` to the operator times x."""
    n0, n1, n2 = x.shape
    for line in prange(n0 * n1):
        i, j = line // n1, line % n1
        for k in range(n2):
            out[i, j, k] = diagonal[i, j, k] * x[i, j, k] - _neighbours(T, F, x, i, j, k)


@_parallel
def sweep_colour(T, F, inverse, b, x, colour):
    """Gauss and Seidel's step in the voxels of one colour of two, but for the last ones along axes of odd length."""
    n0, n1, n2 = x.shape
    m0 = n0 - 1 if n0 > 1 and n0 % 2 else n0
    m1 = n1 - 1 if n1 > 1 and n1 % 2 else n1
    m2 = n2 - 1 if n2 > 1 and n2 % 2 else n2
    for line in prange(m0 * m1):
        i, j = line // m1, line % m1
        for k in range((i + j + colour) % 2, m2, 2):
            x[i, j, k] = (b[i, j, k] + _neighbours(T, F, x, i, j, k)) * inverse[i, j, k]


@_serial
def sweep_rest(T, F, inverse, b, x, forth):
    """Gauss and Seidel's step in the voxels that :func:`sweep_colour` leaves out, one after the other."""
    n0, n1, n2 = x.shape
    m0 = n0 - 1 if n0 > 1 and n0 % 2 else n0
    m1 = n1 - 1 if n1 > 1 and n1 % 2 else n1
    m2 = n2 - 1 if n2 > 1 and n2 % 2 else n2
    for line in range(n0 * n1):
        line = line if forth else n0 * n1 - 1 - line
        i, j = line // n1, line % n1
        first = 0 if i >= m0 or j >= m1 else m2
        for step in range(first, n2):
            k = step if forth else n2 - 1 - (step - first)
            x[i, j, k] = (b[i, j, k] + _neighbours(T, F, x, i, j, k)) * inverse[i, j, k]


@_serial
def sweep_line(T, F, inverse, b, x, forth):
    """Gauss and Seidel's step in all voxels, in their order or in the reverse one."""
    n0, n1, n2 = x.shape
    for line in range(n0 * n1):
        line = line if forth else n0 * n1 - 1 - line
        i, j = line // n1, line % n1
        for step in range(n2):
            k = step if forth else n2 - 1 - step
            x[i, j, k] = (b[i, j, k] + _neighbours(T, F, x, i, j, k)) * inverse[i, j, k]


@_parallel
def restricted_residual(T, F, diagonal, b, x, steps, out):
    """Set ``out`` to the residual, summed over the blocks of ``steps`` voxels along each axis."""
    n0, n1, n2 = x.shape
    c0, c1, c2 = out.shape
    for line in prange(c0 * c1):
        row, column = line // c1, line % c1
        for k in range(c2):
            out[row, column, k] = 0.0
        for i in range(row * steps[0], min((row + 1) * steps[0], n0)):
            for j in range(column * steps[1], min((column + 1) * steps[1], n1)):
                for k in range(n2):
                    rest = b[i, j, k] - diagonal[i, j, k] * x[i, j, k] + _neighbours(T, F, x, i, j, k)
                    out[row, column, k // steps[2]] += rest


@_parallel
def add_blocks(coarse, steps, active, x):
    """Add the value of its block to each voxel that is active."""
    n0, n1, n2 = x.shape
    for line in prange(n0 * n1):
        i, j = line // n1, line % n1
        for k in range(n2):
            if active[i, j, k] > 0.0:
                x[i, j, k] += coarse[i // steps[0], j // steps[1], k // steps[2]]


@_parallel
def add_coupling(inside, areas, y, out):
    """Add pressure to the momentum of velocities on faces, and set the last rows to minus what leaves each voxel.

    ``y`` and ``out`` have a velocity for each of the last axes, and the pressure; ``areas`` are those of the faces.
    """
    number, n0, n1, n2 = y.shape
    d = number - 1
    p = y[d]
    for line in prange(n0 * n1):
        i, j = line // n1, line % n1
        il, iu = i - 1 if i else n0 - 1, i + 1 if i < n0 - 1 else 0
        jl, ju = j - 1 if j else n1 - 1, j + 1 if j < n1 - 1 else 0
        for k in range(n2):
            out[d, i, j, k] = 0.0
            if not inside[i, j, k]:
                continue
            kl, ku = k - 1 if k else n2 - 1, k + 1 if k < n2 - 1 else 0
            left = areas[2] * (y[d - 1, i, j, ku] - y[d - 1, i, j, k])
            left += areas[1] * (y[d - 2, i, ju, k] - y[d - 2, i, j, k])
            if inside[i, j, kl]:
                out[d - 1, i, j, k] += areas[2] * (p[i, j, k] - p[i, j, kl])
            if inside[i, jl, k]:
                out[d - 2, i, j, k] += areas[1] * (p[i, j, k] - p[i, jl, k])
            if d == 3:
                left += areas[0] * (y[0, iu, j, k] - y[0, i, j, k])
                if inside[il, j, k]:
                    out[0, i, j, k] += areas[0] * (p[i, j, k] - p[il, j, k])
            out[d, i, j, k] = -left
