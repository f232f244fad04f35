wsgi_app = "cms:create_app()"
workers = 4
preload_app = True
# If threads tag: the time to finish the current image.
graceful_timeout = 30
