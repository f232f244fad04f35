"""Child processes that decode and classify, apart from the host.

A child gets the bytes of an image and gives labels. It is started as a program of
its own, so that neither the host's memory nor its main module is in it; its
environment is cut down to what programs need to run; and what it answers is JSON,
read as data from a stranger, so that an image that takes over a decoder has gained
nothing. A child that crashes, hangs or eats memory costs one image.
"""
