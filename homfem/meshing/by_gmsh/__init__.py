"""What Gmsh does: models, STEP files, repair; in a process of its own where it may take long."""
