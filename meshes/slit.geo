// Plane slit between two walls, in the unit square: the pore is the layer of the given aperture in the middle.
//
//   gmsh slit.geo                      open in the window; the parameters are in the tree on the left
//   gmsh slit.geo -2 -o slit.msh
//   gmsh slit.geo -2 -setnumber aperture 0.2
//
// Phases: Physical Surfaces "pore", "solid". Facets: Physical Curves "pore|solid", "x-", "x+", "y-", "y+".

DefineConstant[
  aperture   = {0.5, Min 0.02, Max 0.98, Step 0.01, Name "Cell/1 width of the pore (fraction of the period)"},
  resolution = {0.1, Min 0.005, Max 0.3, Step 0.005, Name "Mesh/1 bulk size (fraction of the period)"},
  grading    = {0.5, Min 0.05, Max 1, Step 0.05, Name "Mesh/2 size at the walls over the bulk size"}
];

// Four levels: bottom of the cell, lower wall, upper wall, top of the cell.
low = 0.5 - aperture / 2;
high = 0.5 + aperture / 2;
wall = resolution * grading;
Point(1) = {0, 0, 0, resolution};     Point(2) = {1, 0, 0, resolution};
Point(3) = {0, low, 0, wall};         Point(4) = {1, low, 0, wall};
Point(5) = {0, high, 0, wall};        Point(6) = {1, high, 0, wall};
Point(7) = {0, 1, 0, resolution};     Point(8) = {1, 1, 0, resolution};
Line(1) = {1, 2}; Line(2) = {3, 4}; Line(3) = {5, 6}; Line(4) = {7, 8};
Line(5) = {1, 3}; Line(6) = {3, 5}; Line(7) = {5, 7};
Line(8) = {2, 4}; Line(9) = {4, 6}; Line(10) = {6, 8};
Curve Loop(1) = {1, 8, -2, -5};  Plane Surface(1) = {1};
Curve Loop(2) = {2, 9, -3, -6};  Plane Surface(2) = {2};
Curve Loop(3) = {3, 10, -4, -7}; Plane Surface(3) = {3};

Physical Surface("pore") = {2};
Physical Surface("solid") = {1, 3};
Physical Curve("pore|solid") = {2, 3};
Physical Curve("x-") = {5, 6, 7};
Physical Curve("x+") = {8, 9, 10};
Physical Curve("y-") = {1};
Physical Curve("y+") = {4};

Periodic Curve {8, 9, 10} = {5, 6, 7} Translate {1, 0, 0};
Periodic Curve {4} = {1} Translate {0, 1, 0};
Mesh.ElementOrder = 1;
