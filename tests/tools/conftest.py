import sys
from pathlib import Path

# The tools are scripts, which import each other by their file names.
sys.path.append(str(Path(__file__).parents[2] / "tools"))
