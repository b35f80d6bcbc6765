"""What may go wrong through no fault of the simulator's; each message is one sentence for the person who ran it."""


class ConfigError(Exception):
    """The config asks for what can't be done: names the field."""


class DatasetError(Exception):
    """The dataset can't be loaded or stepped: names the dataset and what CityLearn said."""
