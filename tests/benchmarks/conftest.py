from __future__ import annotations

import sys
from pathlib import Path

# The benchmarks are programs, which import the modules beside them.
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
