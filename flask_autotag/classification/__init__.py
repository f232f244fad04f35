"""Calls providers safely: child processes, monthly quota, circuit breaker."""
