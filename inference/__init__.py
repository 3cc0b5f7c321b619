"""A trained network in use: what `super_resolve.py` and `export.py` need."""
