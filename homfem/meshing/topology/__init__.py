"""What hangs together with what on the torus: faces, connected parts, cracks, mirrors."""
