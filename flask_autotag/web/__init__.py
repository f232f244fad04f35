"""The pages, the JSON API and the metrics endpoint, closed until authorized."""
