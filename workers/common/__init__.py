"""What all rooms share: names, paths, errors, the clock, how settings are declared, the options of jobs, the version.

Uses only the standard library, since what `host` takes from here travels with it; `frozen_code`, which `host` does not
take, uses `ray.cloudpickle` too. All other rooms may use it, and so do the deployments and the API.
"""
