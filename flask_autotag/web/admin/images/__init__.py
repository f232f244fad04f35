"""The page of an instance's images, and decisions about many of them at once."""
