"""Many workers, on one machine or on many: what knows Ray (https://docs.ray.io), and nothing else does.

A worker is a process of Ray with one model, on one GPU or on its share of the processor. Ray is imported only here and
only inside functions: it is an extra of the distribution, and costs half a second.
"""
