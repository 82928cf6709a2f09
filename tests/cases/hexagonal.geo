// A skew cell of a hexagonal array: one round inclusion in the middle.
SetFactory("OpenCASCADE");
Point(1) = {0, 0, 0}; Point(2) = {1, 0, 0}; Point(3) = {1.5, Sqrt(3) / 2, 0}; Point(4) = {0.5, Sqrt(3) / 2, 0};
Line(1) = {1, 2}; Line(2) = {2, 3}; Line(3) = {4, 3}; Line(4) = {1, 4};
Curve Loop(1) = {1, 2, -3, -4};
Plane Surface(1) = {1};
Disk(2) = {0.75, Sqrt(3) / 4, 0, 0.2};
BooleanFragments{ Surface{1}; Delete; }{ Surface{2}; Delete; }
Physical Surface("inclusion") = {2};
Physical Surface("matrix") = {3};
Periodic Curve {2} = {4} Translate {1, 0, 0};
Periodic Curve {3} = {1} Translate {0.5, Sqrt(3) / 2, 0};
Mesh.ElementOrder = 2;
Mesh.MeshSizeMax = 0.08;
