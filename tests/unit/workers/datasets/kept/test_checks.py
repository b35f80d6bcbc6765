"""Uploaded datasets are checked as a job would meet them: mended and said, or refused with file and column."""

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.tiny_dataset import BUILDING, ROWS, write_tiny_dataset
from workers.common.errors import InvalidInput
from workers.datasets.kept.checks import check

Schema = dict[str, Any]


def tiny(tmp_path: Path, change: Callable[[Schema], object] | None = None) -> Path:
    folder = tmp_path / "dataset"
    write_tiny_dataset(folder)
    if change is not None:
        schema = schema_of(folder)
        change(schema)
        (folder / "schema.json").write_text(json.dumps(schema))
    return folder


def schema_of(folder: Path) -> Schema:
    content: Schema = json.loads((folder / "schema.json").read_text())
    return content


def building(schema: Schema) -> Schema:
    found: Schema = schema["buildings"][BUILDING]
    return found


def edit(path: Path, change: Callable[[list[list[str]]], object]) -> None:
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    change(rows)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def put(path: Path, column: str, line: int, value: str) -> None:
    """Put a value into a cell; the header is line 1."""

    def change(rows: list[list[str]]) -> None:
        rows[line - 1][rows[0].index(column)] = value

    edit(path, change)


def widen(rows: list[list[str]], column: str, value: str) -> None:
    """Add a column at the right."""
    for i, row in enumerate(rows):
        row.append(value if i else column)


def refusal(folder: Path) -> tuple[str, str]:
    with pytest.raises(InvalidInput) as caught:
        check(folder)
    return caught.value.code, caught.value.detail


def test_a_dataset_that_runs_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = tiny(tmp_path)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert check(folder) == []
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


@pytest.mark.parametrize("root", ["/home/somebody/data", "C:\\data\\set", "", ".", "data", 7])
def test_a_root_directory_is_made_relative_to_the_schema(tmp_path: Path, root: object) -> None:
    folder = tiny(tmp_path, lambda s: s.update(root_directory=root))
    (warning,) = check(folder)
    assert "root_directory" in warning
    assert repr(root) in warning
    assert schema_of(folder)["root_directory"] is None
    assert check(folder) == []


def test_a_root_directory_that_is_not_there_is_added(tmp_path: Path) -> None:
    folder = tiny(tmp_path, lambda s: s.pop("root_directory"))
    assert len(check(folder)) == 1
    assert schema_of(folder)["root_directory"] is None


def test_files_below_a_relative_root_directory_are_named_with_it(tmp_path: Path) -> None:
    folder = tiny(tmp_path, lambda s: s.update(root_directory="data"))
    (folder / "data").mkdir()
    for file in folder.glob("*.csv"):
        file.rename(folder / "data" / file.name)
    assert len(check(folder)) == 6
    assert building(schema_of(folder))["weather"] == "data/weather.csv"
    assert check(folder) == []


@pytest.mark.parametrize(
    "stated", [".\\weather.csv", "Weather.CSV", "/home/x/weather.csv", "C:\\x\\weather.csv", "./weather.csv"]
)
def test_a_file_that_is_there_by_another_spelling_is_found_and_said(tmp_path: Path, stated: str) -> None:
    folder = tiny(tmp_path, lambda s: building(s).update(weather=stated))
    (warning,) = check(folder)
    assert repr(stated) in warning
    assert building(schema_of(folder))["weather"] == "weather.csv"


def test_accents_that_macos_takes_apart_are_the_same_name(tmp_path: Path) -> None:
    folder = tiny(tmp_path, lambda s: building(s).update(weather="caf\u00e9.csv"))
    (folder / "weather.csv").rename(folder / "cafe\u0301.csv")
    assert len(check(folder)) == 1
    assert check(folder) == []


def test_names_that_differ_in_case_only_are_two_files(tmp_path: Path) -> None:
    def two(schema: Schema) -> None:
        charger = building(schema)["chargers"].pop("AC_1")
        building(schema)["chargers"] = {
            "AC1": {**charger, "charger_simulation": "AC1.csv"},
            "ac1": {**charger, "charger_simulation": "ac1.csv"},
        }

    folder = tiny(tmp_path, two)
    content = (folder / "charger.csv").read_text()
    (folder / "AC1.csv").write_text(content)
    (folder / "ac1.csv").write_text(content)
    assert check(folder) == []


def dynamics(schema: Schema) -> None:
    building(schema)["dynamics"] = {"type": "x.Y", "attributes": {"filename": "model.pth"}}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda s: building(s).update(energy_simulation="gone.csv"), "energy_simulation"),
        (lambda s: building(s).update(weather="gone.csv"), "weather"),
        (lambda s: building(s).update(pricing="../pricing.csv"), "pricing"),
        (lambda s: building(s).update(carbon_intensity="gone.csv"), "carbon_intensity"),
        (lambda s: building(s).pop("weather"), "weather"),
        (lambda s: building(s).update(energy_simulation=3), "energy_simulation"),
        (lambda s: building(s)["chargers"]["AC_1"].update(charger_simulation="x/charger.csv"), "chargers.AC_1"),
        (dynamics, "dynamics.filename"),
    ],
)
def test_every_file_that_the_schema_names_must_be_there(
    tmp_path: Path, change: Callable[[Schema], object], place: str
) -> None:
    code, detail = refusal(tiny(tmp_path, change))
    assert code == "not_a_dataset"
    assert f"buildings.{BUILDING}.{place}" in detail


@pytest.mark.parametrize(
    "key",
    [
        "central_agent",
        "observations",
        "actions",
        "reward_function",
        "simulation_start_time_step",
        "simulation_end_time_step",
        "seconds_per_time_step",
    ],
)
def test_what_citylearn_needs_of_a_schema_must_be_there(tmp_path: Path, key: str) -> None:
    code, detail = refusal(tiny(tmp_path, lambda s: s.pop(key)))
    assert (code, repr(key) in detail) == ("not_a_dataset", True)
    assert repr(key) in refusal(tiny(tmp_path / "other", lambda s: s.update({key: "text"})))[1]


@pytest.mark.parametrize("device", ["dynamics", "pv", "dhw_storage", "electrical_storage"])
@pytest.mark.parametrize("value", [{"Cooling": {"type": "x"}}, {"type": None}, 3])
def test_a_device_has_a_type(tmp_path: Path, device: str, value: object) -> None:
    code, detail = refusal(tiny(tmp_path, lambda s: building(s).update({device: value})))
    assert (code, f"buildings.{BUILDING}.{device} has no 'type'" in detail) == ("not_a_dataset", True)


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b"7", b'{"buildings": {}}', b'{"buildings": {"A": 1}}', b'{"a": "\\ud800"}', b"[" * 100_000],
)
def test_a_schema_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = tiny(tmp_path)
    (folder / "schema.json").write_bytes(content)
    assert refusal(folder)[0] == "not_a_dataset"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_schema_with_a_mark_or_of_another_encoding_is_written_anew(tmp_path: Path, encoding: str) -> None:
    folder = tiny(tmp_path)
    text = (folder / "schema.json").read_text()
    (folder / "schema.json").write_text(text, encoding=encoding)
    assert "UTF-8" in check(folder)[0]
    assert schema_of(folder) == json.loads(text)


def test_headers_of_citylearn_2_0_are_named_with_what_they_are_now(tmp_path: Path) -> None:
    folder = tiny(tmp_path)

    def old(rows: list[list[str]]) -> None:
        names = {
            "month": "Month",
            "day_type": "Day Type",
            "non_shiftable_load": "Equipment Electric Power [kWh]",
            "solar_generation": "Solar Generation [W/kW]",
        }
        rows[0] = [names.get(name, name) for name in rows[0]]

    edit(folder / "building.csv", old)
    code, detail = refusal(folder)
    assert code == "bad_dataset_file"
    assert detail == (
        "building.csv has headers of CityLearn 2.0: rename 'Month' to 'month', 'Day Type' to 'day_type',"
        " 'Equipment Electric Power [kWh]' to 'non_shiftable_load', 'Solar Generation [W/kW]' to 'solar_generation'"
    )


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("weather.csv", "Relative Humidity [%]", "outdoor_relative_humidity"),
        ("weather.csv", "Outdoor Drybulb Temperature [C]", "outdoor_dry_bulb_temperature"),
        ("weather.csv", "24h Prediction Direct Solar Radiation [W/m2]", "direct_solar_irradiance_predicted_3"),
        ("pricing.csv", "12h Prediction Electricity Pricing [$/kWh]", "electricity_pricing_predicted_2"),
        ("pricing.csv", "3h Prediction Electricity Pricing [$/kWh]", "electricity_pricing_predicted_3"),
        ("carbon_intensity.csv", "kg_CO2/kWh", "carbon_intensity"),
    ],
)
def test_old_headers_of_every_kind_of_file_are_known(tmp_path: Path, file: str, old: str, new: str) -> None:
    folder = tiny(tmp_path)
    edit(folder / file, lambda rows: rows.__setitem__(0, [old if name == new else name for name in rows[0]]))
    assert refusal(folder) == (
        "bad_dataset_file",
        f"{file} has headers of CityLearn 2.0: rename {old!r} to {new!r}",
    )


@pytest.mark.parametrize(
    ("file", "column"),
    [
        ("building.csv", "dhw_demand"),
        ("weather.csv", "diffuse_solar_irradiance_predicted_2"),
        ("pricing.csv", "electricity_pricing_predicted_1"),
        ("charger.csv", "electric_vehicle_departure_time"),
    ],
)
def test_a_column_that_is_not_there_is_named_with_its_file(tmp_path: Path, file: str, column: str) -> None:
    folder = tiny(tmp_path)

    def drop(rows: list[list[str]]) -> None:
        place = rows[0].index(column)
        for row in rows:
            del row[place]

    edit(folder / file, drop)
    code, detail = refusal(folder)
    assert code == "bad_dataset_file"
    assert f"{file} lacks the column {column!r}" in detail


@pytest.mark.parametrize("file", ["building.csv", "weather.csv", "pricing.csv", "carbon_intensity.csv"])
def test_a_column_too_many_is_named_with_its_file(tmp_path: Path, file: str) -> None:
    folder = tiny(tmp_path)
    edit(folder / file, lambda rows: widen(rows, "timestamp", "1"))
    assert f"{file} has the column 'timestamp'" in refusal(folder)[1]


def test_more_columns_of_a_charger_are_taken_and_said(tmp_path: Path) -> None:
    folder = tiny(tmp_path)
    edit(folder / "charger.csv", lambda rows: widen(rows, "note", "x"))
    (warning,) = check(folder)
    assert "charger.csv" in warning
    assert "1.7.0" in warning


@pytest.mark.parametrize(
    ("file", "column", "value", "said"),
    [
        ("building.csv", "non_shiftable_load", "", "no non_shiftable_load in line 5"),
        ("building.csv", "non_shiftable_load", "-0.5", "-0.5 as non_shiftable_load"),
        ("building.csv", "cooling_demand", "inf", "'inf' as cooling_demand"),
        ("building.csv", "month", "", "no month in line 5"),
        ("building.csv", "minutes", "", "no minutes in line 5"),
        ("building.csv", "hour", "noon", "'noon' as hour, which is no number (line 5)"),
        ("weather.csv", "outdoor_dry_bulb_temperature", "", "no outdoor_dry_bulb_temperature in line 5"),
        ("pricing.csv", "electricity_pricing", "0,12", "'0,12' as electricity_pricing"),
        ("charger.csv", "electric_vehicle_charger_state", "", "no electric_vehicle_charger_state in line 5"),
        ("charger.csv", "electric_vehicle_charger_state", "1.0", "like 1.0"),
        ("charger.csv", "electric_vehicle_charger_state", "4", "4 as electric_vehicle_charger_state"),
        ("charger.csv", "electric_vehicle_departure_time", "17:00", "'17:00' as electric_vehicle_departure_time"),
    ],
)
def test_a_value_that_the_simulator_stops_at_is_named_with_file_column_and_line(
    tmp_path: Path, file: str, column: str, value: str, said: str
) -> None:
    folder = tiny(tmp_path)
    put(folder / file, column, 5, value)
    code, detail = refusal(folder)
    assert code == "bad_dataset_file"
    assert detail.startswith(f"{file} has ")
    assert said in detail


def test_cooling_and_heating_at_once_are_refused(tmp_path: Path) -> None:
    folder = tiny(tmp_path)
    put(folder / "building.csv", "cooling_demand", 8, "1")
    assert check(folder) == []
    put(folder / "building.csv", "heating_demand", 8, "1")
    assert "at once" in refusal(folder)[1]


def test_blanks_that_a_simulation_outlives_are_counted(tmp_path: Path) -> None:
    folder = tiny(tmp_path)
    put(folder / "building.csv", "indoor_relative_humidity", 8, "")
    put(folder / "building.csv", "indoor_relative_humidity", 9, "")
    put(folder / "pricing.csv", "electricity_pricing_predicted_3", 9, "")
    assert check(folder) == [
        "building.csv has blanks, which become observations that are no numbers: indoor_relative_humidity (2)",
        "pricing.csv has blanks, which become observations that are no numbers: electricity_pricing_predicted_3 (1)",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "can't be read as a table"),
        ("carbon_intensity\n", "has 0 rows"),
        ("a;b\n1,5;2\n", "semicolons"),
        ("carbon_intensity\n0.2,\n0.3,\n", "more fields than its header"),
        ('carbon_intensity\n"0.2\n', "can't be read as a table"),
        ("carbon_intensity\n\x00\xff\n", "carbon_intensity"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: str, said: str) -> None:
    folder = tiny(tmp_path)
    (folder / "carbon_intensity.csv").write_text(content, encoding="latin-1")
    code, detail = refusal(folder)
    assert (code, "carbon_intensity.csv" in detail, said in detail) == ("bad_dataset_file", True, True), detail


@pytest.mark.parametrize("file", ["weather.csv", "pricing.csv", "carbon_intensity.csv", "charger.csv"])
def test_a_file_shorter_than_its_building_is_refused(tmp_path: Path, file: str) -> None:
    folder = tiny(tmp_path)
    edit(folder / file, lambda rows: rows.pop())
    assert refusal(folder) == (
        "bad_dataset_file",
        f"{file} has {ROWS - 1} rows, and {ROWS} are needed: make it as long as building.csv ({ROWS} rows)",
    )


def test_a_file_longer_than_its_building_is_said(tmp_path: Path) -> None:
    folder = tiny(tmp_path)
    edit(folder / "charger.csv", lambda rows: rows.append(rows[-1]))
    (warning,) = check(folder)
    assert f"charger.csv ({ROWS + 1})" in warning


@pytest.mark.parametrize("end", [ROWS, 8759])
def test_an_end_past_the_data_is_mended(tmp_path: Path, end: int) -> None:
    folder = tiny(tmp_path, lambda s: s.update(simulation_end_time_step=end))
    (warning,) = check(folder)
    assert str(end) in warning
    assert schema_of(folder)["simulation_end_time_step"] == ROWS - 1


@pytest.mark.parametrize(("start", "end"), [(5, 5), (9, 3), (-1, 5), (80, 90)])
def test_less_than_two_steps_are_refused(tmp_path: Path, start: int, end: int) -> None:
    folder = tiny(tmp_path, lambda s: s.update(simulation_start_time_step=start, simulation_end_time_step=end))
    assert "two steps" in refusal(folder)[1]


def test_a_file_of_a_kind_that_cannot_be_read_or_of_two_kinds_is_refused(tmp_path: Path) -> None:
    folder = tiny(tmp_path, lambda s: building(s).update(weather="weather.parquet"))
    (folder / "weather.csv").rename(folder / "weather.parquet")
    assert (refusal(folder)[0], "Parquet" in refusal(folder)[1]) == ("bad_dataset_file", True)
    twice = tiny(tmp_path / "other", lambda s: building(s).update(weather="building.csv"))
    assert (refusal(twice)[0], "elsewhere" in refusal(twice)[1]) == ("not_a_dataset", True)


def test_an_episode_of_one_step_is_mended(tmp_path: Path) -> None:
    folder = tiny(tmp_path, lambda s: s.update(episode_time_steps=1))
    assert len(check(folder)) == 1
    assert schema_of(folder)["episode_time_steps"] is None


def test_observations_are_called_as_citylearn_does_now(tmp_path: Path) -> None:
    def old(schema: Schema) -> None:
        for name in ("outdoor_relative_humidity_predicted_12h", "cooling_device_cop", "mood"):
            schema["observations"][name] = {"active": True}
        del schema["observations"]["net_electricity_consumption"]
        building(schema)["inactive_observations"] = ["cooling_device_cop"]

    folder = tiny(tmp_path, old)
    renamed, left_out, added = check(folder)
    assert "outdoor_relative_humidity_predicted_12h is outdoor_relative_humidity_predicted_2" in renamed
    assert "'mood'" in left_out
    assert "net_electricity_consumption" in added
    schema = schema_of(folder)
    assert list(schema["observations"])[-3:] == [
        "outdoor_relative_humidity_predicted_2",
        "cooling_device_efficiency",
        "net_electricity_consumption",
    ]
    assert building(schema)["inactive_observations"] == ["cooling_device_efficiency"]
    assert check(folder) == []


def test_the_action_of_a_battery_that_is_not_there_is_made_inactive(tmp_path: Path) -> None:
    folder = tiny(tmp_path, lambda s: building(s).pop("electrical_storage"))
    assert len(check(folder)) == 1
    assert building(schema_of(folder))["inactive_actions"] == ["electrical_storage"]
    assert check(folder) == []


def test_cars_without_a_definition_are_said(tmp_path: Path) -> None:
    folder = tiny(tmp_path, lambda s: s.update(electric_vehicles_def={}))
    (warning,) = check(folder)
    assert warning.startswith("charger.csv: 'EV_1'")


def test_many_faults_are_told_at_once_the_first_few_in_words(tmp_path: Path) -> None:
    folder = tiny(tmp_path)
    for column in ("month", "hour", "non_shiftable_load", "dhw_demand", "solar_generation", "day_type"):
        put(folder / "building.csv", column, 3, "?")
    detail = refusal(folder)[1]
    assert detail.count("building.csv") == 5
    assert detail.endswith("and 1 more")


def test_files_that_share_a_fault_share_a_clause(tmp_path: Path) -> None:
    def six(schema: Schema) -> None:
        schema["buildings"] = {f"B{i}": {**building(schema), "energy_simulation": f"b{i}.csv"} for i in range(6)}

    folder = tiny(tmp_path, six)
    put(folder / "building.csv", "hour", 3, "")
    for i in range(6):
        (folder / f"b{i}.csv").write_bytes((folder / "building.csv").read_bytes())
    assert refusal(folder)[1] == "b0.csv (like b1.csv, b2.csv, b3.csv and 2 more) has no hour in line 3"


def test_a_manifest_speaks_of_the_mended_schema(tmp_path: Path) -> None:
    folder = tiny(tmp_path, lambda s: s.update(root_directory="/x"))
    entries = [{"name": "schema.json", "bytes": 1, "sha256": "0"}, {"name": "building.csv", "bytes": 2}]
    (folder / "manifest.json").write_text(json.dumps({"files": entries, "rows": ROWS}))
    check(folder)
    content = (folder / "schema.json").read_bytes()
    assert json.loads((folder / "manifest.json").read_text()) == {
        "files": [
            {"name": "schema.json", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()},
            entries[1],
        ],
        "rows": ROWS,
    }


@pytest.mark.parametrize("manifest", ["[]", "{", '{"files": 3}', '{"files": [1]}', '{"rows": NaN}', '{"a": "\\ud800"}'])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, manifest: str) -> None:
    folder = tiny(tmp_path)
    (folder / "manifest.json").write_text(manifest)
    code, detail = refusal(folder)
    assert (code, "manifest.json" in detail) == ("not_a_dataset", True)
