"""Charger readings become the six columns that CityLearn reads."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.datasets_in_memory import build, rows, texts
from tests.instants import utc
from workers.datasets.measures.columns import (
    CHARGER_ARRIVAL,
    CHARGER_ARRIVAL_SOC,
    CHARGER_COLUMNS,
    CHARGER_DEPARTURE,
    CHARGER_EV,
    CHARGER_REQUIRED_SOC,
    CHARGER_STATE,
)
from workers.datasets.reading.users import CarNames

DAY = utc("2025-01-14 00:00")  # winter: Lisbon's clock shows UTC
SCHEMA = {"electric_vehicles_def": {"EV_1": {"user_ids": ["anna"]}, "EV_2": {"user_ids": ["bruno"]}}}

Plugged = Callable[[datetime], str | None]


def between(start: str, end: str, user: str = "anna") -> Plugged:
    return lambda t: user if start <= f"{t:%H:%M}" < end else None


def charger(
    plugged: Plugged,
    flexibility: Mapping[str, Any] | None = None,
    *,
    period: int = 60,
    step: float = 15,
    soc: float | None = 40,
    hours: int = 24,
    silent: Callable[[datetime], bool] = lambda _: False,
    **configs: Any,
) -> list[dict[str, str]]:
    """The charger's file for one day of documents every `step` minutes."""
    documents = []
    for i in range(round(hours * 60 / step)):
        moment = DAY + timedelta(minutes=step * i)
        session = {"charger_id": "AC1", "user_id": plugged(moment), "soc": soc, "flexibility": flexibility}
        document: dict[str, Any] = {"timestamp": moment, "non_shiftable_load": 1.0}
        if not silent(moment):
            document["charging_sessions"] = [session]
        documents.append(document)
    body = {"period": period, "citylearn_configs": configs}
    return rows(build({"building_A": documents}, body, SCHEMA), "AC1.csv")


def column(table: list[dict[str, str]], name: str) -> list[str]:
    return [row[name] for row in table]


def test_a_day_at_work_as_in_the_specification() -> None:
    table = charger(between("09:00", "17:00"), {"departure.time": "17:00:00", "departure.soc": 80})
    assert list(table[0]) == list(CHARGER_COLUMNS)
    assert column(table, CHARGER_STATE) == ["3"] * 7 + ["2"] * 2 + ["1"] * 8 + ["3"] * 7
    assert column(table, CHARGER_DEPARTURE)[9:17] == ["8", "7", "6", "5", "4", "3", "2", "1"]
    assert column(table, CHARGER_ARRIVAL)[7:9] == ["2", "1"]
    assert column(table, CHARGER_EV) == [""] * 7 + ["EV_1"] * 10 + [""] * 7
    assert column(table, CHARGER_REQUIRED_SOC) == [""] * 9 + ["80.0"] * 8 + [""] * 7
    assert column(table, CHARGER_ARRIVAL_SOC) == [""] * 7 + ["40.0"] * 3 + [""] * 14


def test_nothing_stands_in_the_columns_of_a_charger_that_is_free() -> None:
    table = charger(lambda _: None)
    assert all(list(row.values()) == ["3", "", "", "", "", ""] for row in table)


@pytest.mark.parametrize(
    ("stated", "first"),
    [
        ("17:00:00", 8),
        ("17:20:00", 9),  # whole steps, rounded up
        ("19:00", 10),  # the car leaves earlier than stated
        ("08:00:00", 8),  # tomorrow's 08:00 would be 23 steps away
    ],
)
def test_the_departure_is_the_next_time_that_the_clock_shows_it(stated: str, first: int) -> None:
    table = charger(between("09:00", "17:00"), {"departure.time": stated})
    expected = 23 if stated == "08:00:00" else first
    assert column(table, CHARGER_DEPARTURE)[9] == str(expected)
    assert column(table, CHARGER_DEPARTURE)[16] == str(expected - 7)


@pytest.mark.parametrize("stated", [None, "12:00:00"])
def test_a_car_that_states_nothing_or_stays_longer_leaves_when_it_was_seen_to_leave(stated: str | None) -> None:
    table = charger(between("09:00", "17:00"), {"departure.time": stated})
    assert column(table, CHARGER_DEPARTURE)[9:17] == ["8", "7", "6", "5", "4", "3", "2", "1"]


def test_the_departure_is_fixed_when_the_car_comes() -> None:
    documents = []
    for i in range(96):
        moment = DAY + timedelta(minutes=15 * i)
        stated = "17:00" if moment.hour < 12 else "20:00"
        flexibility = {"departure.time": stated, "departure.soc": 70 if moment.hour < 12 else 90}
        user = between("09:00", "17:00")(moment)
        session = {"charger_id": "AC1", "user_id": user, "flexibility": flexibility}
        documents.append({"timestamp": moment, "charging_sessions": [session]})
    table = rows(build({"building_A": documents}, schema=SCHEMA), "AC1.csv")
    assert column(table, CHARGER_DEPARTURE)[9:17] == ["8", "7", "6", "5", "4", "3", "2", "1"]
    assert set(column(table, CHARGER_REQUIRED_SOC)[9:17]) == {"70.0"}


def test_a_stated_instant_counts_as_such() -> None:
    table = charger(between("09:00", "17:00"), {"estimated_time_at_departure": "2025-01-14T18:30:00Z"})
    assert column(table, CHARGER_DEPARTURE)[9] == "10"


def test_a_bin_is_plugged_in_from_half_of_its_readings_on() -> None:
    assert column(charger(between("09:30", "17:30")), CHARGER_STATE)[8:19] == list("21111111113")
    assert column(charger(between("09:45", "17:15")), CHARGER_STATE)[8:19] == list("22111111133")


def test_of_two_cars_in_a_bin_the_one_with_most_readings_has_it() -> None:
    def plugged(t: datetime) -> str | None:
        return between("09:00", "12:45")(t) or between("12:45", "17:00", "bruno")(t)

    cars = column(charger(plugged, incoming_horizon_minutes=0), CHARGER_EV)
    assert cars[9:17] == ["EV_1"] * 4 + ["EV_2"] * 4


def test_cars_that_follow_each_other_are_two_sessions() -> None:
    def plugged(t: datetime) -> str | None:
        return between("09:00", "12:00")(t) or between("12:00", "17:00", "bruno")(t)

    table = charger(plugged)
    assert column(table, CHARGER_STATE)[7:17] == list("2211111111")
    assert column(table, CHARGER_DEPARTURE)[9:17] == ["3", "2", "1", "5", "4", "3", "2", "1"]
    assert column(table, CHARGER_ARRIVAL_SOC)[12] == "40.0"


def test_a_car_is_announced_within_the_horizon_and_never_over_another() -> None:
    def plugged(t: datetime) -> str | None:
        return between("09:00", "12:00")(t) or between("13:00", "17:00", "bruno")(t)

    table = charger(plugged, incoming_horizon_minutes=240)
    assert column(table, CHARGER_STATE)[4:14] == list("3222211121")
    assert column(table, CHARGER_ARRIVAL)[5:9] == ["4", "3", "2", "1"]
    assert (column(table, CHARGER_EV)[12], column(table, CHARGER_ARRIVAL)[12]) == ("EV_2", "1")
    assert "2" not in column(charger(plugged, incoming_horizon_minutes=0), CHARGER_STATE)


def test_readings_further_apart_than_the_period_hold() -> None:
    states = column(charger(between("09:00", "17:00"), period=15, step=60), CHARGER_STATE)
    assert states == ["3"] * 28 + ["2"] * 8 + ["1"] * 32 + ["3"] * 28


def test_a_short_lack_of_readings_does_not_end_a_session_and_a_long_one_does() -> None:
    plugged = between("09:00", "17:00")
    short = charger(plugged, silent=lambda t: t.hour == 12)
    assert column(short, CHARGER_STATE)[9:17] == ["1"] * 8
    long = charger(plugged, silent=lambda t: t.hour in (12, 13), incoming_horizon_minutes=0)
    assert column(long, CHARGER_STATE)[9:17] == list("11133111")


@pytest.mark.parametrize(
    ("soc", "written"), [(0, "0.0"), (0.4, "1.01"), (1, "1.01"), (1.5, "1.5"), (100, "100.0"), (-1, ""), (None, "")]
)
def test_a_soc_is_written_so_that_citylearn_reads_percent(soc: float | None, written: str) -> None:
    table = charger(between("09:00", "17:00"), {"departure.soc": soc}, soc=soc)
    assert column(table, CHARGER_ARRIVAL_SOC)[9] == written
    assert column(table, CHARGER_REQUIRED_SOC)[9] == (written or "80.0")


def test_a_soc_that_nobody_stated_is_the_requests_or_80_and_said() -> None:
    documents = [
        {"timestamp": DAY + timedelta(hours=i), "charging_sessions": [{"charger_id": "AC1", "user_id": "anna"}]}
        for i in range(3)
    ]
    plain = build({"building_A": documents}, schema=SCHEMA)
    assert texts(plain, "AC1.csv", CHARGER_REQUIRED_SOC) == ["80.0"] * 3
    assert any("1 of 1 sessions state no SOC to leave with: 80 %" in w for w in plain.manifest["warnings"])
    asked = {"citylearn_configs": {"defaults": {CHARGER_REQUIRED_SOC: 65, CHARGER_ARRIVAL_SOC: 30}}}
    table = rows(build({"building_A": documents}, asked, SCHEMA), "AC1.csv")
    assert (table[0][CHARGER_REQUIRED_SOC], table[0][CHARGER_ARRIVAL_SOC]) == ("65.0", "30.0")


def test_a_departure_by_the_clock_is_the_sites_in_summer() -> None:
    documents = []
    for i in range(96):
        moment = utc("2025-06-10 00:00") + timedelta(minutes=15 * i)
        session = {"charger_id": "AC1", "user_id": between("08:00", "16:00")(moment)}  # 09:00 to 17:00 in Lisbon
        documents.append(
            {"timestamp": moment, "charging_sessions": [{**session, "flexibility": {"departure.time": "17:00:00"}}]}
        )
    table = rows(build({"building_A": documents}, schema=SCHEMA), "AC1.csv")
    first = column(table, CHARGER_STATE).index("1")
    assert column(table, CHARGER_DEPARTURE)[first : first + 8] == ["8", "7", "6", "5", "4", "3", "2", "1"]


def test_users_never_reach_a_dataset() -> None:
    user = "maria.silva@example.org"
    documents = [
        {"timestamp": DAY + timedelta(hours=i), "charging_sessions": [{"charger_id": "AC1", "user_id": user}]}
        for i in range(24)
    ]
    dataset = build({"building_A": documents}, schema=SCHEMA)
    everything = b"\n".join(dataset.files.values()).decode()
    assert "maria" not in everything
    assert "anna" not in everything  # user_ids of definitions are left out too
    assert set(texts(dataset, "AC1.csv", CHARGER_EV)) == {CarNames({}, b"a secret of the tests").of(user)}


def test_windows_read_apart_give_the_sessions_of_the_whole() -> None:
    documents = []
    for i in range(4 * 24 * 6):
        moment = DAY + timedelta(minutes=15 * i)
        user = "anna" if moment.hour >= 18 or moment.hour < 8 else None  # over every midnight
        flexibility = {"departure.time": "08:00", "departure.soc": 75}
        session = {"charger_id": "AC1", "user_id": user, "soc": 20 + moment.hour, "flexibility": flexibility}
        if not 2 * 96 <= i < 3 * 96 or i % 60 == 0:  # a day with two readings
            documents.append({"timestamp": moment, "non_shiftable_load": 1.0, "charging_sessions": [session]})
    whole = build({"building_A": documents}, schema=SCHEMA, days=30)
    for days in (1, 2):
        assert build({"building_A": documents}, schema=SCHEMA, days=days).files == whole.files
