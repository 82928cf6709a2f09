"""The tables of ``[cell]``: one module per family of shapes, each with its ``TABLES`` by their names in a config."""
