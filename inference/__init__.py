"""A trained network in use: what `super_resolve.py`, `demo.py` and `export.py` need."""
