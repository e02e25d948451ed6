"""`make alerts`: the PrometheusRule object, made from the plain groups in alerts/.

It has no rules of its own: a Prometheus without the operator loads the same groups.
"""
