"""Sites: MongoDB databases of buildings, read as streams, with the schema that describes each of them."""
