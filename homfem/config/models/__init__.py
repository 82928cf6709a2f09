"""The tables of ``[macro]``: one module per model with its ``TABLES`` by name, and what the models share."""
