"""Scripts, their CSV files, and frozen audiences."""
