"""``flask autotag doctor``: checks of an installation, each problem with its fix."""
