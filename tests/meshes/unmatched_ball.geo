// A ball in a unit cube; opposite faces and their edges are cut differently.
DefineConstant[ radius = 0.415291653, resolution = 0.15 ];
SetFactory("OpenCASCADE");
Box(1) = {0, 0, 0, 1, 1, 1};
Sphere(2) = {0.5, 0.5, 0.5, radius};
BooleanFragments{ Volume{1}; Delete; }{ Volume{2}; Delete; }
Physical Volume("ball") = {2};
Physical Volume("matrix") = {3};
Mesh.MeshSizeMax = resolution;
high() = Point In BoundingBox{0.9, -0.1, -0.1, 1.1, 1.1, 1.1};
MeshSize{high()} = 0.7 * resolution;
