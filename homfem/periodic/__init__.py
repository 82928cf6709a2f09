r"""The periodic constraint, with two backends behind one interface.

A field is periodic when :math:`u(x+a_k)=u(x)` for every period vector :math:`a_k` of the lattice.

*Identified topology* (default). The nodes of opposite faces are one vertex when the mesh is made, while the geometry
keeps two coordinates for it: the mesh is a true torus. A function space on it is periodic by construction, whatever
its element: Lagrange of any degree, Crouzeix-Raviart, Raviart-Thomas, discontinuous; interior-facet integrals see the
period faces as interior.

*Multipoint constraint* (``dolfinx_mpc``). The mesh stays as it is and every degree of freedom on a high face is
eliminated in favour of the basis functions at the point one period away. It is the independent cross-check of the
first.

On faces that do not match node by node the second is :class:`ProlongedSpace`: weights from overlapping facets, followed
over the edges of the period cell (:mod:`homfem.periodic.nonmatching`), and an explicit prolongation.

All give :class:`PeriodicSpace`: matrices, vectors, kernels and functions of the constrained space.
"""

from homfem.meshing.arrays.identification import check_faces, check_resolution, identify_nodes
from homfem.periodic.mesh import PeriodicMesh, Seam, create_open_mesh, create_periodic_mesh
from homfem.periodic.prolonged import ProlongedSpace, check_backend, make_periodic_space
from homfem.periodic.spaces import IdentifiedSpace, MultipointSpace, PeriodicSpace

__all__ = [
    "IdentifiedSpace",
    "MultipointSpace",
    "PeriodicMesh",
    "PeriodicSpace",
    "ProlongedSpace",
    "Seam",
    "check_backend",
    "check_faces",
    "check_resolution",
    "create_open_mesh",
    "create_periodic_mesh",
    "identify_nodes",
    "make_periodic_space",
]
