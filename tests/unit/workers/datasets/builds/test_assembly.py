"""Whole datasets: the specification's worked examples, and what holds for every dataset."""

import csv
import hashlib
import io
import json
import random
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.datasets_in_memory import build, numbers, rows, texts
from tests.instants import utc
from workers.common.errors import InvalidInput, NotFound
from workers.datasets.measures.columns import CHARGER_COLUMNS

START = utc("2025-06-07 00:00")
ENERGY_FILE_COLUMNS = [
    "month",
    "hour",
    "minutes",
    "day_type",
    "daylight_savings_status",
    "indoor_dry_bulb_temperature",
    "average_unmet_cooling_setpoint_difference",
    "indoor_relative_humidity",
    "non_shiftable_load",
    "dhw_demand",
    "cooling_demand",
    "heating_demand",
    "solar_generation",
]


def documents(hours: float, start: Any = START, step: float = 15, **fields: Any) -> list[dict[str, Any]]:
    fields = fields or {"non_shiftable_load": 0.5, "indoor_dry_bulb_temperature": 20.0}
    return [{"timestamp": start + timedelta(minutes=step * i), **fields} for i in range(round(hours * 60 / step))]


def test_four_readings_in_an_hour_are_one_temperature_and_the_sum_of_energy() -> None:
    dataset = build({"building_A": documents(24)})
    assert numbers(dataset, "building_A.csv", "indoor_dry_bulb_temperature") == [20.0] * 24
    assert numbers(dataset, "building_A.csv", "non_shiftable_load") == [2.0] * 24
    without_one = build({"building_A": [d for i, d in enumerate(documents(24)) if i != 42]})
    assert without_one.files["building_A.csv"] == dataset.files["building_A.csv"]
    assert without_one.manifest["buildings"][0]["columns"]["non_shiftable_load"]["scaled_bins"] == 1


def test_a_short_gap_is_a_line_in_the_file_and_counted_in_the_manifest() -> None:
    site = {"building_A": documents(24, non_shiftable_load=1.0)}
    del site["building_A"][41:43]  # 10:15 and 10:30
    site["building_A"][41]["non_shiftable_load"] = 4.0  # 10:45
    dataset = build(site, {"period": 15})
    assert numbers(dataset, "building_A.csv", "non_shiftable_load")[40:45] == [1.0, 2.0, 3.0, 4.0, 1.0]
    report = dataset.manifest["buildings"][0]["columns"]["non_shiftable_load"]
    assert report["filled_bins"] == {"short_gap": 2, "long_gap": 0, "default": 0}
    assert (report["readings"], report["longest_gap_minutes"]) == (94, 30)


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [("2025-10-25 23:00", "2025-10-27 00:00", 25), ("2025-03-30 00:00", "2025-03-30 23:00", 23)],
)
def test_energy_is_conserved_over_days_that_the_clock_changes_on(start: str, end: str, hours: int) -> None:
    site = {"building_A": documents(hours + 6, utc(start) - timedelta(hours=3))}
    body = {"from_ts": f"{start}:00", "until_ts": f"{end}:00"}
    dataset = build(site, body)
    spring = hours == 23
    # In spring the clock jumps after the first step: CityLearn would take that for the step's length.
    assert dataset.manifest["rows"] == hours - spring
    assert sum(numbers(dataset, "building_A.csv", "non_shiftable_load")) == 2.0 * (hours - spring)
    assert any("begins one step later" in w for w in dataset.manifest["warnings"]) is spring


def test_the_clock_of_the_october_change_is_as_in_the_specification() -> None:
    body = {"from_ts": "2025-10-25 23:00:00", "until_ts": "2025-10-27 00:00:00"}
    table = rows(build({"building_A": documents(25, utc("2025-10-25 23:00"))}, body), "building_A.csv")
    assert [(row["hour"], row["daylight_savings_status"]) for row in table[:4]] == [
        ("1", "1"),
        ("2", "1"),
        ("2", "0"),
        ("3", "0"),
    ]


def test_the_window_is_what_all_buildings_have_and_names_who_set_it() -> None:
    site = {
        "building_A": documents(24),
        "building_B": documents(20, START + timedelta(hours=2, minutes=30)),
        "building_C": documents(20),
    }
    dataset = build(site)
    assert (dataset.manifest["from_ts"], dataset.manifest["until_ts"]) == (
        "2025-06-07T02:00:00.000Z",
        "2025-06-07T20:00:00.000Z",
    )
    assert "The dataset begins at 2025-06-07T02:00:00.000Z, with building 'B'" in dataset.manifest["warnings"]
    assert "The dataset ends at 2025-06-07T20:00:00.000Z, with building 'C'" in dataset.manifest["warnings"]
    assert {len(rows(dataset, f)) for f in dataset.files if f.endswith(".csv")} == {18}


def test_bounds_are_snapped_outwards_to_the_period() -> None:
    body = {"from_ts": "2025-06-07 03:10:00", "until_ts": "2025-06-07 08:05:00"}
    manifest = build({"building_A": documents(24)}, body).manifest
    assert (manifest["from_ts"], manifest["until_ts"], manifest["rows"]) == (
        "2025-06-07T03:00:00.000Z",
        "2025-06-07T09:00:00.000Z",
        6,
    )


def test_an_empty_building_is_left_out_with_a_warning_unless_it_was_asked_for() -> None:
    site: dict[str, Any] = {"building_A": documents(24), "building_B": []}
    dataset = build(site)
    assert [b["name"] for b in dataset.manifest["buildings"]] == ["A"]
    assert any("Building 'B'" in w and "left out" in w for w in dataset.manifest["warnings"])
    with pytest.raises(NotFound, match="Building 'B'"):
        build(site, {"citylearn_configs": {"selected_buildings": ["A", "B"]}})


@pytest.mark.parametrize(
    ("site", "body", "error", "said"),
    [
        ({"building_A": []}, {}, NotFound, "no readings"),
        ({"building_A": documents(24)}, {"from_ts": "2026-01-01", "until_ts": "2026-01-02"}, NotFound, "no readings"),
        ({"building_A": documents(24)}, {"from_ts": "2025-06-07T03:00:00Z", "until_ts": "2025-06-07T03:05:00Z"},
         InvalidInput, "needs 2"),
        ({"building_A": documents(1)}, {}, InvalidInput, "needs 2"),
        ({"building_A": documents(3), "building_B": documents(3, START + timedelta(hours=9))}, {}, NotFound,
         "'B' and 'A' have no time in common"),
        ({"building_A": [{"timestamp": START, "non_shiftable_load": None}]}, {}, NotFound, "no readings"),
    ],
)  # fmt: skip
def test_a_window_with_nothing_in_it_makes_no_dataset(
    site: dict[str, Any], body: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        build(site, body)


def test_a_column_that_no_document_has_is_its_default_and_said() -> None:
    dataset = build({"building_A": documents(24)}, {"citylearn_configs": {"defaults": {"dhw_demand": 0.25}}})
    assert set(numbers(dataset, "building_A.csv", "dhw_demand")) == {0.25}
    assert set(numbers(dataset, "building_A.csv", "indoor_relative_humidity")) == {50.0}
    assert set(numbers(dataset, "building_A.csv", "average_unmet_cooling_setpoint_difference")) == {0.0}
    assert any("has no indoor_relative_humidity: it is 50 throughout" in w for w in dataset.manifest["warnings"])


def test_of_cooling_and_heating_the_larger_is_kept_also_where_one_was_filled() -> None:
    site = {"building_A": documents(24, cooling_demand=0.1, heating_demand=0.3)}
    for document in site["building_A"][8:12]:
        del document["heating_demand"]
    dataset = build(site)
    assert set(numbers(dataset, "building_A.csv", "cooling_demand")) == {0.0}
    assert numbers(dataset, "building_A.csv", "heating_demand") == pytest.approx([1.2] * 24)
    assert dataset.manifest["buildings"][0]["steps_with_cooling_and_heating"] == 24


def test_a_load_below_zero_becomes_generation_so_that_the_net_stays_what_it_is() -> None:
    site = {"building_A": documents(24, non_shiftable_load=-0.5, solar_generation=0.1)}
    dataset = build(site)
    assert set(numbers(dataset, "building_A.csv", "non_shiftable_load")) == {0.0}
    assert numbers(dataset, "building_A.csv", "solar_generation") == pytest.approx([2.4] * 24)
    assert dataset.manifest["buildings"][0]["steps_with_load_below_zero"] == 24


def session(charger: str) -> dict[str, Any]:
    return {"non_shiftable_load": 1.0, "charging_sessions": [{"charger_id": charger, "user_id": "u"}]}


def test_chargers_files_are_named_by_their_ids_and_by_the_building_where_two_share_one() -> None:
    site = {"building_A": documents(3, **session("AC 1/x")), "building_B": documents(3, **session("AC2"))}
    assert {"AC_1_x.csv", "AC2.csv"} < build(site).files.keys()
    site = {"building_A": documents(3, **session("AC1")), "building_B": documents(3, **session("AC1"))}
    dataset = build(site)
    assert {"A_AC1.csv", "B_AC1.csv"} < dataset.files.keys()
    schema = json.loads(dataset.files["schema.json"])
    assert schema["buildings"]["B"]["chargers"]["AC1"]["charger_simulation"] == "B_AC1.csv"


@pytest.mark.parametrize("ids", [("AC 1", "AC/1"), ("weather", "AC1"), ("building_A", "AC1")])
def test_files_that_would_have_one_name_are_refused(ids: tuple[str, str]) -> None:
    both = [{"charger_id": charger, "user_id": "u"} for charger in ids]
    with pytest.raises(InvalidInput, match="would both be the file"):
        build({"building_A": documents(3, non_shiftable_load=1.0, charging_sessions=both)})


def test_the_manifest_tells_where_everything_comes_from() -> None:
    site = {"building_A": [*documents(24), {"timestamp": "nonsense"}, documents(1)[0]]}
    dataset = build(site)
    manifest = json.loads(dataset.files["manifest.json"])
    assert manifest == dataset.manifest
    assert (manifest["site_id"], manifest["period"], manifest["time_zone"]) == ("living_lab", 60, "Europe/Lisbon")
    building = manifest["buildings"][0]
    assert (building["oldest_document"], building["newest_document"]) == (
        "2025-06-07T00:00:00.000Z",
        "2025-06-07T23:45:00.000Z",
    )
    assert (building["documents"], building["documents_without_timestamp"], building["duplicate_documents"]) == (
        96,
        1,
        1,
    )
    assert {f["name"]: f["sha256"] for f in manifest["files"]} == {
        name: hashlib.sha256(content).hexdigest() for name, content in dataset.files.items() if name != "manifest.json"
    }
    assert manifest["producer"].startswith("opeva-backend")


NUMBERS = st.one_of(
    st.floats(-5, 5), st.integers(-5, 5), st.none(), st.just(float("nan")), st.just("1.5"), st.just("x"), st.just({})
)


@settings(max_examples=15)
@given(data=st.data())
def test_rows_columns_and_types_never_vary(data: st.DataObject) -> None:
    period = data.draw(st.sampled_from([1, 5, 15, 30, 60, 120]))
    stamps = data.draw(st.lists(st.integers(0, 2 * 1440), min_size=3, max_size=40, unique=True))
    keys = ["non_shiftable_load", "solar_generation", "cooling_demand", "heating_demand", "electricity_pricing"]
    site = {
        f"building_{name}": [
            {
                "timestamp": START + timedelta(minutes=m),
                "non_shiftable_load": 1,
                **data.draw(st.dictionaries(st.sampled_from(keys), NUMBERS, max_size=3)),
                "charging_sessions": [{"charger_id": "C", "user_id": data.draw(st.sampled_from(["", "u", "v"]))}],
            }
            for m in stamps
        ]
        for name in ("A", "B")
    }
    for building in site.values():
        building[0]["non_shiftable_load"] = building[-1]["non_shiftable_load"] = 1
    if max(stamps) // period == min(stamps) // period:
        return
    body = {"period": period, "from_ts": "2025-06-07 00:00:00", "until_ts": "2025-06-09 00:15:00"}
    dataset = build(site, body)
    lengths = set()
    for name, content in dataset.files.items():
        if not name.endswith(".csv"):
            continue
        header, *lines = csv.reader(io.StringIO(content.decode()))
        lengths.add(len(lines))
        if name.startswith("building_"):
            assert header == ENERGY_FILE_COLUMNS
        if header == list(CHARGER_COLUMNS):
            assert {line[0] for line in lines} <= {"1", "2", "3"}
            assert all(cell == "" or cell.isdigit() for line in lines for cell in (line[2], line[4]))
            continue
        values = np.array(lines, dtype=float)
        assert np.isfinite(values).all()
        if name.startswith("building_"):
            assert all(cell.isdigit() for line in lines for cell in line[:5])
            load, _, cooling, heating = values.T[8:12]
            assert (load >= 0).all()
            assert not (cooling * heating).any()
    assert lengths == {dataset.manifest["rows"]}


@settings(max_examples=25)
@given(data=st.data())
def test_what_the_grid_gives_is_conserved_for_any_period_order_and_duplication(data: st.DataObject) -> None:
    period = data.draw(st.sampled_from([p for p in range(1, 721) if 1440 % p == 0]))
    step = data.draw(st.integers(1, 180))
    count = data.draw(st.integers(4, 60).filter(lambda n: n * step > 2 * period))
    site: list[dict[str, Any]] = [
        {
            "_id": i,
            "timestamp": START + timedelta(minutes=step * i),
            "non_shiftable_load": data.draw(st.floats(-3, 3)),
            "solar_generation": data.draw(st.floats(0, 3)),
        }
        for i in range(count)
    ]
    net = sum(d["non_shiftable_load"] - d["solar_generation"] for d in site)
    replaced = [{**d, "_id": d["_id"] - count, "non_shiftable_load": 99.0} for d in site if data.draw(st.booleans())]
    shuffled = [*site, *replaced]
    random.Random(data.draw(st.integers(0, 9))).shuffle(shuffled)
    days = data.draw(st.sampled_from([1, 30]))
    dataset = build({"building_A": shuffled}, {"period": period}, days=days)
    columns = dataset.manifest["buildings"][0]["columns"]
    touched = [columns[name] for name in ("non_shiftable_load", "solar_generation")]
    if any(c["scaled_bins"] or any(c["filled_bins"].values()) for c in touched):
        return
    load, solar = (numbers(dataset, "building_A.csv", n) for n in ("non_shiftable_load", "solar_generation"))
    assert sum(load) - sum(solar) == pytest.approx(net, abs=1e-6)


def test_two_builds_of_one_request_are_the_same_bytes() -> None:
    site = {
        "building_A": documents(
            72, step=7, **session("AC1"), indoor_dry_bulb_temperature=20.1, electricity_pricing=0.1
        ),
        "building_B": documents(72, step=61, non_shiftable_load=1.23456789),
    }
    first = build(site, {"period": 15}, days=1)
    for days in (1, 2, 30):
        assert build(site, {"period": 15}, days=days).files == first.files
    assert build({k: v[::-1] for k, v in site.items()}, {"period": 15}).files == first.files
    assert texts(first, "building_A.csv", "month") == ["6"] * first.manifest["rows"]
