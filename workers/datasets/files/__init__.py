"""From a plan and columns to the bytes of the files that CityLearn reads, and to the manifest.

It may use the plan and all rooms below it; it reads no database and writes to no disk.
Builds and kept use it.
"""
