"""Where the numbers of transport are from, for several sections."""

FINITE_ELEMENTS = (
    "converged by finite elements of orders 6 to 10 on curved meshes and meshes graded to the corners, independently "
    "of homfem; cell and diffusivity 1, per volume of the fluid"
)
CLOSED_FORM = "closed form"
