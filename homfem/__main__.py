"""``python -m homfem`` is the command ``homfem``."""

from homfem.cli import main

if __name__ == "__main__":
    main()
