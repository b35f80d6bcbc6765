"""Datasets: what sites measured, as files that CityLearn loads and steps to the end unedited.

Documents become readings (`documents`), readings become bins (`resample`), gaps are filled (`gaps`), charger readings
become sessions (`sessions`), and a request and a site's schema become CityLearn's schema (`citylearn_schema`). `build`
puts these together and stays pure: documents in, bytes out.
"""
