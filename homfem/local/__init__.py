"""Cell problems: one engine, and one small module per physics."""
