"""The commands of ``flask autotag``."""
