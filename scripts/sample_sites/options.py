"""What a sample site is to be like."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

#: Homes, some of which charge a car at night.
RESIDENTIAL: Final = "living_lab"
#: One building with a car park of chargers that are used by day.
CAR_PARK: Final = "i-charging_headquarters"
SITES: Final = (RESIDENTIAL, CAR_PARK)
#: The clock of the people who live and work there.
TIME_ZONE: Final = "Europe/Lisbon"


class Shape(StrEnum):
    """How a producer writes a document."""

    #: Columns at the top, a list of charging sessions.
    FLAT = "flat"
    #: Columns at the top, dicts of chargers and of cars.
    SESSION_DICT = "session_dict"
    #: All that under `observations`, prices as a curve per MWh.
    NESTED = "nested"


class StampForm(StrEnum):
    """How a producer writes a timestamp."""

    DATE = "date"
    TEXT = "text"  # 2025-06-07T12:00:00Z
    CLOCK = "clock"  # 2025-06-07 12:00:00
    OFFSET = "offset"  # 2025-06-07T13:00:00+01:00
    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"


@dataclass(frozen=True)
class SampleOptions:
    """Two samples of equal options and seed are equal; a longer one has the documents of a shorter one within it."""

    site: str
    #: Aware; the readings are those of `[start, end)` on the cadence's grid, which lies on the UTC epoch.
    start: datetime
    end: datetime
    seed: int = 1
    #: A divisor or a multiple of 60.
    cadence_minutes: int = 15
    #: How many homes, or how many chargers the car park has.
    size: int = 6
    #: Each document has one of these.
    shapes: tuple[Shape, ...] = (Shape.FLAT,)
    stamps: tuple[StampForm, ...] = (StampForm.DATE,)
    #: How many of a building's days have a gap of up to three hours, 0 to 1.
    gap_days: float = 0.0
    #: Share of the documents that come twice, with other values first: the last inserted is right.
    duplicates: float = 0.0
    #: Share of the numbers written as texts or decimals.
    odd_numbers: float = 0.0
    #: Insert each day's documents out of order.
    shuffled: bool = False
    #: The clock that dates and texts without an offset show; None: UTC.
    source_time_zone: str | None = None

    def __post_init__(self) -> None:
        if self.site not in SITES:
            raise ValueError(f"{self.site!r} is no sample site; there are {', '.join(SITES)}")
        if self.start.tzinfo is None or self.end.tzinfo is None or self.start >= self.end:
            raise ValueError("start must be earlier than end, both with an offset")
        if self.cadence_minutes < 1 or (60 % self.cadence_minutes and self.cadence_minutes % 60):
            raise ValueError(f"cadence_minutes must divide 60 or be a multiple of it, not {self.cadence_minutes}")
        if self.size < 1 or not self.shapes or not self.stamps:
            raise ValueError("A sample has at least one building or charger, one shape and one form of timestamps")

    @property
    def cadence_s(self) -> int:
        return self.cadence_minutes * 60

    def instants(self) -> range:
        """The epoch seconds of all readings."""
        step = self.cadence_s
        first = -(-int(self.start.timestamp()) // step) * step
        return range(first, int(self.end.timestamp()), step)
