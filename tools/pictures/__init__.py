"""`make pictures`: the README's pictures, drawn from the unchanged output of commands."""
