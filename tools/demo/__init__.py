"""`make demo`: the real daemon at work on a private containerd.

It never uses the host's runtime. Without root or Debian's packages it runs `cleaner demo` instead.
"""
