"""Block media."""
