"""Instants in tests, written as people read them."""

from datetime import UTC, datetime


def utc(text: str) -> datetime:
    """`YYYY-MM-DD HH:MM` in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def ms(text: str) -> int:
    """`YYYY-MM-DD HH:MM` in UTC, in milliseconds since the epoch."""
    return int(utc(text).timestamp() * 1000)
