"""Turns confinement off in child processes, to measure its cost.

Python imports this module when it starts, if ``PYTHONPATH`` contains this folder.
"""

from flask_autotag.classification.sandbox import confinement

confinement.confine = lambda _readable, _devices: confinement.Confinement()
