"""What everything is measured in: the grid of bins, the columns and their kinds, arrays, stored numbers.

It may use nothing of the other rooms.
All rooms of datasets use it.
"""
