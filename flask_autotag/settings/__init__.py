"""Settings that administrators change, rules for words, and ``AUTOTAG_*`` keys."""
