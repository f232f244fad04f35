"""The mark of the request by which ``flask autotag doctor`` tests request limits."""

#: A key of the request's WSGI environment.
PROBE = "flask_autotag.probe"
