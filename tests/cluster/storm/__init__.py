"""Many exports at once, and what carries them killed one after the other: does each arrive, and how soon does it go on?

`python -m tests.cluster.storm` runs it. It is no part of `make test-cluster`.
"""

from __future__ import annotations

from .checks import faults_of, leaks
from .deeds import DEEDS
from .exports import TWICE, Run, Storm, catalogue

__all__ = ["DEEDS", "TWICE", "Run", "Storm", "catalogue", "faults_of", "leaks"]
