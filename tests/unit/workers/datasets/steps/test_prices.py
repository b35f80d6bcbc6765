"""Prices look ahead past a dataset's end, and come from the first building that has any."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from tests.datasets_in_memory import build, numbers
from tests.instants import utc
from workers.datasets.steps.weather import SourceDataset

START = utc("2025-01-14 00:00")


def documents(hours: int, price: Any = None, step: int = 15, **fields: Any) -> list[dict[str, Any]]:
    """Documents with a load, and a price that `price` gives for each hour."""
    result = []
    for i in range(hours * 60 // step):
        hour = step * i / 60
        document = {"timestamp": START + timedelta(hours=hour), "non_shiftable_load": 1.0, **fields}
        if price is not None:
            document["electricity_pricing"] = price(int(hour))
        result.append(document)
    return result


def ahead(dataset: Any, n: int) -> list[float]:
    return numbers(dataset, "pricing.csv", f"electricity_pricing_predicted_{n}")


@pytest.mark.parametrize("period", [15, 60])
def test_the_look_ahead_is_in_hours_and_reads_past_the_end(period: int) -> None:
    body = {"until_ts": "2025-01-15 00:00:00", "period": period}
    dataset = build({"building_A": documents(48, lambda hour: hour / 100)}, body)
    per_hour = 60 // period
    for n in (1, 2, 3):
        expected = np.repeat([(hour + n) / 100 for hour in range(24)], per_hour).tolist()
        assert ahead(dataset, n) == pytest.approx(expected)


def test_at_the_true_end_the_same_time_a_day_earlier_stands() -> None:
    dataset = build({"building_A": documents(48, lambda hour: hour / 100)})
    assert ahead(dataset, 3)[-4:] == pytest.approx([0.47, 0.24, 0.25, 0.26])


def test_without_a_day_earlier_the_last_known_stands() -> None:
    dataset = build({"building_A": documents(6, lambda hour: hour / 100)})
    assert ahead(dataset, 1) == pytest.approx([0.01, 0.02, 0.03, 0.04, 0.05, 0.05])
    assert ahead(dataset, 3) == pytest.approx([0.03, 0.04, 0.05, 0.05, 0.05, 0.05])


def test_a_period_longer_than_the_look_ahead_keeps_its_own_bin() -> None:
    dataset = build({"building_A": documents(48, lambda hour: hour / 100)}, {"period": 240})
    own = numbers(dataset, "pricing.csv", "electricity_pricing")
    assert ahead(dataset, 3) == own
    assert own[:2] == pytest.approx([0.015, 0.055])


def test_prices_come_from_the_first_building_that_has_any_and_others_are_said() -> None:
    site = {
        "building_A": documents(24),
        "building_B": documents(24, lambda _: 0.2),
        "building_C": documents(24, lambda _: 0.3),
        "building_D": documents(24, lambda _: 0.2),
    }
    dataset = build(site)
    assert set(numbers(dataset, "pricing.csv", "electricity_pricing")) == {0.2}
    assert dataset.manifest["shared_columns"]["electricity_pricing"]["source"] == "building 'B'"
    differing = [w for w in dataset.manifest["warnings"] if "other prices" in w]
    assert differing == ["Building 'C' has other prices than building 'B', whose were taken"]


def test_prices_per_mwh_are_converted_and_said() -> None:
    site = {"building_A": documents(24, lambda _: None, energy_price={"values": [79.29, 1.0]})}
    dataset = build(site)
    assert set(numbers(dataset, "pricing.csv", "electricity_pricing")) == {0.07929}
    assert "Building 'A': 96 prices were per MWh and were converted to per kWh" in dataset.manifest["warnings"]


def test_a_site_without_prices_gets_the_requests_default_and_a_warning() -> None:
    dataset = build({"building_A": documents(24)}, {"citylearn_configs": {"defaults": {"electricity_pricing": 0.15}}})
    assert set(numbers(dataset, "pricing.csv", "electricity_pricing")) == {0.15}
    assert any("has no electricity_pricing: it is 0.15 throughout" in w for w in dataset.manifest["warnings"])


def test_gaps_in_prices_are_filled_with_what_is_known_past_the_end() -> None:
    # The last hour within the window lacks a price; the one after it exists.
    site = {"building_A": documents(26, lambda hour: None if hour == 23 else float(hour))}
    dataset = build(site, {"until_ts": "2025-01-15 00:00:00"})
    assert numbers(dataset, "pricing.csv", "electricity_pricing")[-2:] == [22.0, 23.0]
    assert ahead(dataset, 1)[-2:] == [23.0, 24.0]


def test_weather_is_the_sites_where_it_has_any_and_looks_ahead_by_citylearns_hours() -> None:
    site = {"building_A": documents(24), "building_B": documents(24)}
    for document in site["building_B"]:
        document["outdoor_dry_bulb_temperature"] = float(document["timestamp"].hour)
    dataset = build(site)
    assert numbers(dataset, "weather.csv", "outdoor_dry_bulb_temperature") == list(range(24))
    assert numbers(dataset, "weather.csv", "outdoor_dry_bulb_temperature_predicted_1")[:18] == list(range(6, 24))
    assert numbers(dataset, "weather.csv", "outdoor_dry_bulb_temperature_predicted_3") == list(range(24))
    assert set(numbers(dataset, "weather.csv", "outdoor_relative_humidity")) == {50.0}
    assert dataset.manifest["shared_columns"]["outdoor_dry_bulb_temperature"]["source"] == "building 'B'"
    assert any("no outdoor_relative_humidity: it is 50 throughout" in w for w in dataset.manifest["warnings"])


def source(start: str | None, rows: int, **columns: Any) -> SourceDataset:
    four = dict.fromkeys(
        (
            "outdoor_dry_bulb_temperature",
            "outdoor_relative_humidity",
            "diffuse_solar_irradiance",
            "direct_solar_irradiance",
        ),
        np.arange(rows, dtype=float),
    )
    known = start is not None
    return SourceDataset(
        "w", {**four, **columns}, int(utc(start).timestamp() * 1000) if start else None, 3_600_000 if known else None
    )


@pytest.mark.parametrize(
    ("origin", "first"),
    [
        (source("2025-01-13 00:00", 72), 24.0),
        (source("2020-01-14 00:00", 24), 0.0),  # of another year
        (source(None, 24), 0.0),  # says no time, but fits
    ],
)
def test_weather_can_be_another_datasets(origin: SourceDataset, first: float) -> None:
    body = {"citylearn_configs": {"weather": "w"}}
    dataset = build({"building_A": documents(24)}, body, sources={"w": origin})
    assert numbers(dataset, "weather.csv", "outdoor_dry_bulb_temperature") == [first + i for i in range(24)]


@pytest.mark.parametrize("origin", [source("2025-06-01 00:00", 24), source(None, 23)])
def test_weather_of_another_time_or_length_is_refused(origin: SourceDataset) -> None:
    with pytest.raises(Exception, match="dataset 'w'"):
        build({"building_A": documents(24)}, {"citylearn_configs": {"weather": "w"}}, sources={"w": origin})


def test_carbon_is_written_only_where_it_is_given() -> None:
    assert "carbon_intensity.csv" not in build({"building_A": documents(24)}).files
    asked = build({"building_A": documents(24)}, {"citylearn_configs": {"carbon_intensity": 0.25}})
    assert numbers(asked, "carbon_intensity.csv", "carbon_intensity") == [0.25] * 24
    measured = build({"building_A": documents(24, carbon_intensity=0.3)})
    assert numbers(measured, "carbon_intensity.csv", "carbon_intensity") == [0.3] * 24
