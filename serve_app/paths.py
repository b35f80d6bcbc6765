"""The part of a path that is a name: whatever stands there reaches the route, which says what is wrong with it."""

from starlette.convertors import Convertor, register_url_convertor


class _Name(Convertor[str]):
    """Unlike `path`, it matches line breaks too; with either, a name with slashes is malformed rather than unrouted."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


def install() -> None:
    """Make `{...:name}` known; to be called before routes are declared."""
    register_url_convertor("name", _Name())
