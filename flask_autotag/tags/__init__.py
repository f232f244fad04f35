"""Labels become tags: rules, people's decisions, rows and counters."""
