"""`make alerts`: the PrometheusRule object, made from the plain groups in alerts/.

It refuses rules of its own: whoever has no operator loads the same groups.
"""
