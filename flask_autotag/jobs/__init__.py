"""From a committed job to its end: the queue, and who works it off."""
