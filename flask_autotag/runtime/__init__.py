"""The state of one application, its counters and its throttled log."""
