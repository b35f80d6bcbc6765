"""Sample sites of real buildings' data: homes and a car park, as producers' documents, with the truth they tell."""

from scripts.sample_sites.generate import Sample, make_sample
from scripts.sample_sites.options import CAR_PARK, RESIDENTIAL, SITES, SampleOptions, Shape, StampForm

__all__ = ["CAR_PARK", "RESIDENTIAL", "SITES", "Sample", "SampleOptions", "Shape", "StampForm", "make_sample"]
