import sys
from importlib.metadata import version as installed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "Flask-AutoTag"
copyright = "2026, The Flask-AutoTag developers"
release = version = installed("flask-autotag")

extensions = ["autotag_keys", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "Flask-AutoTag"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
nitpicky = False
