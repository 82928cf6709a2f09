// A disc in a unit square; opposite sides are cut differently unless matching = 1.
DefineConstant[ radius = 0.398942280401433, resolution = 0.1, matching = 0 ];
SetFactory("OpenCASCADE");
Rectangle(1) = {0, 0, 0, 1, 1};
Disk(2) = {0.5, 0.5, 0, radius};
BooleanFragments{ Surface{1}; Delete; }{ Surface{2}; Delete; }
Physical Surface("disc") = {2};
Physical Surface("matrix") = {3};
n = Ceil(1 / resolution) + 1;
m = (matching == 1) ? n : Ceil(1.37 / resolution) + 2;
p = (matching == 1) ? 1 : 1.04;
Transfinite Curve {1, 2} = n;
Transfinite Curve {3} = m;
Transfinite Curve {4} = m Using Progression p;
Mesh.MeshSizeMax = resolution;
