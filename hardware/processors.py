"""How many processors this process may use: fewer than the machine has, on shared machines."""

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def usable_processors():
    """Return how many processors the scheduler and the container's quota let this process use."""
    try:
        allowed = len(os.sched_getaffinity(0))  # batch systems and `taskset` set it
    except AttributeError:  # not on every system
        allowed = os.cpu_count() or 1
    return max(1, min([allowed, *_quotas()]))


def _quotas():
    """Yield the quotas of Linux' control groups, rounded up, of this process and those above."""
    try:
        own = OWN_CGROUP.read_text().rpartition("0::/")[2].strip()
    except OSError:
        return
    for folder in (CGROUPS / own, *(CGROUPS / own).parents):
        try:
            quota, period = (folder / "cpu.max").read_text().split()
            yield math.ceil(int(quota) / int(period))
        except (OSError, ValueError):  # "max": no quota
            continue
