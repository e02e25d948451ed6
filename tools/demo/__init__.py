"""`make demo`: the real daemon at work on a private containerd.

It refuses the host's runtime; without root or Debian's packages it runs `cleaner demo` instead.
"""
