"""Child processes that decode and classify images, isolated from the host.

A child receives the bytes of an image and returns labels. It is a program of its own,
so that it has neither the host's memory nor its main module, and its environment holds
only the variables that programs need. Its responses are JSON and are read as untrusted
data. A child that crashes, hangs or uses too much memory costs one image.
"""
