// Long fibres in a hexagonal array, in the plane across them. The cell is the rectangle of 1 by Sqrt(3) that holds two
// fibres, one at the corners and one at the centre; its opposite sides are the period faces.
//
//   gmsh hexagonal_fibres.geo                           open in the window; the parameters are in the tree on the left
//   gmsh hexagonal_fibres.geo -2 -o hexagonal_fibres.msh
//   gmsh hexagonal_fibres.geo -2 -setnumber fraction 0.5
//
// Phases: Physical Surfaces "fibre", "matrix". Facets: Physical Curves "fibre|matrix", "x-", "x+", "y-", "y+".

DefineConstant[
  fraction   = {0.3, Min 0.02, Max 0.9, Step 0.01, Name "Cell/1 area fraction of the fibres (touching: 0.9069)"},
  resolution = {0.05, Min 0.005, Max 0.2, Step 0.005, Name "Mesh/1 bulk size (fraction of the period)"},
  grading    = {0.5, Min 0.05, Max 1, Step 0.05, Name "Mesh/2 size at the interface over the bulk size"},
  growth     = {0.3, Min 0.05, Max 2, Step 0.05, Name "Mesh/3 growth of the size with the distance"}
];

SetFactory("OpenCASCADE");
height = Sqrt(3);
radius = Sqrt(fraction * height / (2 * Pi));

// Five discs, of which the rectangle keeps one whole and four quarters.
Rectangle(1) = {0, 0, 0, 1, height};
Disk(2) = {0.5, height / 2, 0, radius};
Disk(3) = {0, 0, 0, radius};
Disk(4) = {1, 0, 0, radius};
Disk(5) = {0, height, 0, radius};
Disk(6) = {1, height, 0, radius};
inside() = BooleanIntersection{ Surface{2:6}; Delete; }{ Surface{1}; };
BooleanFragments{ Surface{1}; Delete; }{ Surface{inside()}; Delete; }

// The matrix is the largest part by its bounding box: the only one that spans the width and the height.
eps = 1e-6;
all() = Surface{:};
fibre() = {}; matrix() = {};
For i In {0 : #all() - 1}
  b() = BoundingBox Surface { all(i) };
  If (b(3) - b(0) > 1 - eps && b(4) - b(1) > height - eps)
    matrix() += all(i);
  Else
    fibre() += all(i);
  EndIf
EndFor
Physical Surface("fibre") = {fibre()};
Physical Surface("matrix") = {matrix()};

// Period faces, piece by piece: each piece of a high side takes its mesh from the piece one period below it.
xm() = Curve In BoundingBox {-eps, -eps, -eps, eps, height + eps, eps};
xp() = Curve In BoundingBox {1 - eps, -eps, -eps, 1 + eps, height + eps, eps};
ym() = Curve In BoundingBox {-eps, -eps, -eps, 1 + eps, eps, eps};
yp() = Curve In BoundingBox {-eps, height - eps, -eps, 1 + eps, height + eps, eps};

Macro MatchPieces  // slaves(), masters(), shift()
  For i In {0 : #slaves() - 1}
    a() = BoundingBox Curve { slaves(i) };
    For j In {0 : #masters() - 1}
      b() = BoundingBox Curve { masters(j) };
      far = 0;
      For k In {0 : 5}
        far = far + Fabs(a(k) - b(k) - shift(k % 3));
      EndFor
      If (far < eps)
        Periodic Curve {slaves(i)} = {masters(j)} Translate {shift(0), shift(1), shift(2)};
      EndIf
    EndFor
  EndFor
Return
slaves() = {xp()}; masters() = {xm()}; shift() = {1, 0, 0}; Call MatchPieces;
slaves() = {yp()}; masters() = {ym()}; shift() = {0, height, 0}; Call MatchPieces;

rims() = Abs(Boundary{ Surface{fibre()}; });
rims() -= {xm(), xp(), ym(), yp()};
Physical Curve("fibre|matrix") = {rims()};
Physical Curve("x-") = {xm()}; Physical Curve("x+") = {xp()};
Physical Curve("y-") = {ym()}; Physical Curve("y+") = {yp()};

Field[1] = Distance;
Field[1].CurvesList = {rims()};
Field[1].Sampling = Ceil(10 / resolution);
Field[2] = Threshold;
Field[2].InField = 1;
Field[2].SizeMin = grading * resolution;
Field[2].SizeMax = resolution;
Field[2].DistMin = 0;
Field[2].DistMax = (resolution - grading * resolution) / growth + eps;
Background Field = 2;

Mesh.MeshSizeExtendFromBoundary = 0;
Mesh.MeshSizeFromPoints = 0;
Mesh.MeshSizeFromCurvature = 0;
Mesh.ElementOrder = 1;  // 2 follows the circles
