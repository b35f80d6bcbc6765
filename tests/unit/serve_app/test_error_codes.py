"""The codes of errors: each is said what it means, none is a literal, and the documentation has them all."""

import ast
import pickle
import re
from pathlib import Path

import pytest

from serve_app.error_table import given_codes, meanings, statuses, table
from workers.common.answers import failure, value_of
from workers.common.errors import Conflict, ErrorCode

PROJECT = Path(__file__).parents[3]
#: Stand in the status of a build, and within answers of sites, whose status is 200 by then.
TOLD_ONLY = {ErrorCode.BUILD_INTERRUPTED, ErrorCode.UNREADABLE_DOCUMENT}
#: For every status of HTTP that has no code of its own.
FOR_THE_REST = {ErrorCode.HTTP_ERROR}


def test_every_code_says_what_it_means_and_what_to_do() -> None:
    assert set(meanings()) == set(ErrorCode)


def test_every_code_has_a_status() -> None:
    found = statuses()
    assert {code for code in ErrorCode if not found[code]} == TOLD_ONLY | FOR_THE_REST


def test_a_code_is_the_name_of_its_member_in_small_letters() -> None:
    assert [code for code in ErrorCode if code.value != code.name.lower()] == []


def test_no_error_is_given_a_literal_code() -> None:
    places = list(given_codes())
    assert len(places) > 100
    literal = [
        f"{path.relative_to(PROJECT)}:{line}"
        for path, line, _, code in places
        if isinstance(code, ast.JoinedStr | ast.Constant)
    ]
    assert literal == []


def test_every_code_is_used() -> None:
    sources = [path for folder in ("workers", "deployments", "serve_app") for path in (PROJECT / folder).rglob("*.py")]
    used = {name for path in sources for name in re.findall(r"\bErrorCode\.([A-Z_]+)\b", path.read_text())}
    assert {code.name for code in ErrorCode} == used


def test_the_table_in_the_documentation_is_that_of_the_code() -> None:
    assert table() in (PROJECT / "docs" / "api.md").read_text()


def test_a_code_is_a_plain_text_wherever_it_goes() -> None:
    error = Conflict("There is such a job", ErrorCode.JOB_EXISTS)
    there = pickle.loads(pickle.dumps(error))  # noqa: S301 - of our own making
    assert (type(there), there.detail, there.code) == (Conflict, "There is such a job", "job_exists")
    assert {type(error.code), type(there.code), type(Conflict("It is so").code)} == {str}
    answer = failure(error)
    assert type(answer["error"]["code"]) is str
    with pytest.raises(Conflict) as caught:
        value_of(answer)
    assert caught.value.code == "job_exists"
