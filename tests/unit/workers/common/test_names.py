"""Names that people send."""

from collections.abc import Callable

import pytest

from workers.common import names
from workers.common.errors import InvalidInput

HOSTILE = [
    "",
    ".",
    "..",
    "../x",
    "a/../../b",
    "/etc/passwd",
    "C:\\x",
    "a\x00.yaml",
    "a\n.yaml",
    "x" * 300,
    "CON",
    "con.yaml",
    "nul",
    " x",
    "é",
    "-x",
    ".hidden",
    "x.",
    "\ud800",
    None,
    3,
    ["x"],
]


@pytest.mark.parametrize("check", [names.config_file_name, names.dataset_name, names.site_name, names.job_id])
@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_that_could_reach_beyond_its_folder_is_refused(check: Callable[[object], str], text: object) -> None:
    with pytest.raises(InvalidInput):
        check(text)


def test_a_config_may_be_named_with_its_folder() -> None:
    assert names.config_file_name("configs/x.yaml") == names.config_file_name("x.yaml") == "x.yaml"
    with pytest.raises(InvalidInput):
        names.config_file_name("configs/configs/x.yaml")
    with pytest.raises(InvalidInput):
        names.config_file_name("x.txt")


@pytest.mark.parametrize("text", ["admin", "local", "config", "Admin", "status", "preview", "cancel"])
def test_databases_of_mongodb_and_reserved_words_are_no_sites(text: str) -> None:
    with pytest.raises(InvalidInput):
        names.site_name(text)


@pytest.mark.parametrize("text", ["living_lab", "i-charging_headquarters", "new_site"])
def test_real_site_names_are_taken(text: str) -> None:
    assert names.site_name(text) == text


@pytest.mark.parametrize("text", ["upload", "download", "dates-available"])
def test_words_of_the_api_are_no_dataset_names(text: str) -> None:
    with pytest.raises(InvalidInput):
        names.dataset_name(text)


def test_job_ids_are_whole_random_uuids_and_their_containers_bear_nothing_else() -> None:
    made = {names.new_job_id() for _ in range(1000)}
    assert len(made) == 1000
    job = made.pop()
    assert names.job_id(job) == job
    assert names.container_name(job, 2) == f"opeva-{job}-2"
    with pytest.raises(InvalidInput):
        names.job_id(job.upper() if job.upper() != job else job[:-1])
