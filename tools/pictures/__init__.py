"""`make pictures`: the README's pictures, made from what the program prints.

It refuses retouching: a picture is the output of a command, drawn.
"""
