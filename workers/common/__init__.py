"""What all rooms share: names, paths, errors, the clock, settings of the jobs' side, the version of the code.

Uses only the standard library, since what `host` takes from here travels with it. Every other room uses it.
"""
