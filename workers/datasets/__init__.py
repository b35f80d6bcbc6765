"""Datasets: what sites measured, as files that CityLearn loads and steps to the end unedited.

The data pass through the rooms in this order; a room uses only those before it:

1. `measures`: the grid of bins, the columns, stored numbers. Beside it `file_names`: what a dataset's files are called.
2. `reading`: the documents of a site's collection and a time window become readings, which are measured values.
3. `steps`: readings become bins, gaps are filled, what chargers measured becomes sessions of cars.
4. `asked`: the dataset request and the site's schema, checked.
5. `plan`: once all windows are read, the dataset's time, buildings and files are decided.
6. `files`: columns, sessions and the schema become the bytes of CityLearn's files and the manifest.
7. `kept`: a folder of files becomes a dataset that is listed, previewed, sent and replaced.
8. `builds`: a build is a run that makes a dataset; it takes the data through all of these rooms.
"""
