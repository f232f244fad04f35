"""What administrators set: fields, how their values are found, kept and changed."""
