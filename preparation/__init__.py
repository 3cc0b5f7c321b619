"""From photographs to crops: what only `prepare.py` needs."""
