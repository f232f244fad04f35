"""The revisions, oldest first. Only ``down_revision`` defines their order."""
