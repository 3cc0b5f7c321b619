"""How well faces are recognised: what only `evaluate.py` needs, and comparing what it wrote."""
