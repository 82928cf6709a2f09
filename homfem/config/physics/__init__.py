"""The tables of ``[effective]``: one module per physics, each with its ``TABLES`` by their names in a config."""
