wsgi_app = "cms:create_app()"
workers = 4
preload_app = True
# Where threads tag: as long as the image at hand may take.
graceful_timeout = 30
