"""Pages and forms that decide on the tags of images."""
