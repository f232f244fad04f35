"""Reports about the queue and the providers, metrics, and the doctor."""
