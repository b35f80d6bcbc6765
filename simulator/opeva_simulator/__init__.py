"""The simulation that runs in a container: a CityLearn community under a simple agent, followed through its files."""

__version__ = "1.0.0"
