"""The pages for administrators and editors, as two blueprints."""
