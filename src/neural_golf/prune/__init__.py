"""`golf prune`: a network that somebody trained, with as many of its weights at zero as its accuracy
allows.
"""
