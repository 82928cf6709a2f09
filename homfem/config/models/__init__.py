"""The tables of ``[macro]``: one module per model with its ``TABLES`` by their names in a config, and what they share."""
