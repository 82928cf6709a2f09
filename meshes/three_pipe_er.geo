// Endoplasmic reticulum as three orthogonal square pipes that cross at the centre of the unit cube, and the cytosol
// around them. Volume fraction of the pipes 3 l^2 - 2 l^3, interface area 12 l (1 - l) for the edge l.
//
//   gmsh three_pipe_er.geo                              open in the window; the parameters are in the tree on the left
//   gmsh three_pipe_er.geo -3 -o three_pipe_er.msh      mesh from the command line
//   gmsh three_pipe_er.geo -3 -setnumber edge 0.3       with another value
//
// Phases: Physical Volumes "er", "cytosol". Facets: Physical Surfaces "er|cytosol", "x-", "x+", "y-", "y+", "z-", "z+".

DefineConstant[
  edge       = {0.1, Min 0.02, Max 0.98, Step 0.01, Name "Cell/1 edge of the pipes (fraction of the period)"},
  resolution = {0.1, Min 0.01, Max 0.3, Step 0.01, Name "Mesh/1 bulk size (fraction of the period)"},
  grading    = {0.25, Min 0.02, Max 1, Step 0.01, Name "Mesh/2 size at the re-entrant edges over the size in the pipes"},
  growth     = {0.3, Min 0.05, Max 2, Step 0.05, Name "Mesh/3 growth of the size with the distance"}
];

SetFactory("OpenCASCADE");

// Geometry: pipe along x = 2, along y = 3, along z = 4; their union is cut out of the cube, both stay.
low = 0.5 - edge / 2;
Box(1) = {0, 0, 0, 1, 1, 1};
Box(2) = {0, low, low, 1, edge, edge};
Box(3) = {low, 0, low, edge, 1, edge};
Box(4) = {low, low, 0, edge, edge, 1};
pipes() = BooleanUnion{ Volume{2}; Delete; }{ Volume{3, 4}; Delete; };
parts() = BooleanFragments{ Volume{1}; Delete; }{ Volume{pipes()}; Delete; };

eps = 1e-5;
xm() = Surface In BoundingBox {-eps, -eps, -eps, eps, 1 + eps, 1 + eps};
xp() = Surface In BoundingBox {1 - eps, -eps, -eps, 1 + eps, 1 + eps, 1 + eps};
ym() = Surface In BoundingBox {-eps, -eps, -eps, 1 + eps, eps, 1 + eps};
yp() = Surface In BoundingBox {-eps, 1 - eps, -eps, 1 + eps, 1 + eps, 1 + eps};
zm() = Surface In BoundingBox {-eps, -eps, -eps, 1 + eps, 1 + eps, eps};
zp() = Surface In BoundingBox {-eps, -eps, 1 - eps, 1 + eps, 1 + eps, 1 + eps};

// The mouth of the pipe is the small piece of the face x = 0; the volume behind it is the pipes, the other the cytosol.
For i In {0 : #xm() - 1}
  b() = BoundingBox Surface { xm(i) };
  If (b(4) - b(1) < 1 - eps)
    mouth = xm(i);
  EndIf
EndFor
all() = Volume{:};
er() = {}; cytosol() = {};
For i In {0 : #all() - 1}
  walls() = Abs(Boundary{ Volume{all(i)}; });
  behind = 0;
  For j In {0 : #walls() - 1}
    If (walls(j) == mouth)
      behind = 1;
    EndIf
  EndFor
  If (behind)
    er() += all(i);
  Else
    cytosol() += all(i);
  EndIf
EndFor
Physical Volume("er") = {er()};
Physical Volume("cytosol") = {cytosol()};

// Period faces, piece by piece: each piece of a high face takes its mesh from the piece one period below it.
Macro MatchPieces  // slaves(), masters(), shift()
  For i In {0 : #slaves() - 1}
    a() = BoundingBox Surface { slaves(i) };
    For j In {0 : #masters() - 1}
      b() = BoundingBox Surface { masters(j) };
      far = 0;
      For k In {0 : 5}
        far = far + Fabs(a(k) - b(k) - shift(k % 3));
      EndFor
      If (far < eps)
        Periodic Surface {slaves(i)} = {masters(j)} Translate {shift(0), shift(1), shift(2)};
      EndIf
    EndFor
  EndFor
Return
slaves() = {xp()}; masters() = {xm()}; shift() = {1, 0, 0}; Call MatchPieces;
slaves() = {yp()}; masters() = {ym()}; shift() = {0, 1, 0}; Call MatchPieces;
slaves() = {zp()}; masters() = {zm()}; shift() = {0, 0, 1}; Call MatchPieces;

interface() = Abs(Boundary{ Volume{er()}; });
interface() -= {xm(), xp(), ym(), yp(), zm(), zp()};
Physical Surface("er|cytosol") = {interface()};
Physical Surface("x-") = {xm()}; Physical Surface("x+") = {xp()};
Physical Surface("y-") = {ym()}; Physical Surface("y+") = {yp()};
Physical Surface("z-") = {zm()}; Physical Surface("z+") = {zp()};

// Mesh size: fine at the edges of the pipes, where the corrector is singular, coarser with the distance from them.
near = resolution;
If (near > edge / 2)       near = edge / 2;       EndIf
If (near > (1 - edge) / 2) near = (1 - edge) / 2; EndIf
rims() = Abs(Boundary{ Surface{interface()}; });
Field[1] = Distance;
Field[1].CurvesList = {rims()};
Field[1].Sampling = Ceil(1 / (grading * near));
Field[2] = Threshold;
Field[2].InField = 1;
Field[2].SizeMin = grading * near;
Field[2].SizeMax = resolution;
Field[2].DistMin = 0;
Field[2].DistMax = (resolution - grading * near) / growth;
Field[3] = Distance;
Field[3].SurfacesList = {interface()};
Field[4] = Threshold;
Field[4].InField = 3;
Field[4].SizeMin = near;
Field[4].SizeMax = resolution + eps;
Field[4].DistMin = 0;
Field[4].DistMax = (resolution + eps - near) / growth;
Field[5] = Min;
Field[5].FieldsList = {2, 4};
Background Field = 5;

Mesh.MeshSizeExtendFromBoundary = 0;
Mesh.MeshSizeFromPoints = 0;
Mesh.MeshSizeFromCurvature = 0;
Mesh.Algorithm3D = 10;  // HXT
Mesh.ElementOrder = 1;
