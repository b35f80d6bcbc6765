"""The installation's secret is made once, whoever asks first, and is its owner's alone."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from workers.common.errors import Unavailable
from workers.common.layout import Layout
from workers.datasets.reading.secret import installation_secret


def test_all_who_ask_at_once_get_the_same_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        secrets = set(threads.map(lambda _: installation_secret(Layout(tmp_path)), range(16)))
    assert len(secrets) == 1
    assert len(secrets.pop()) == 32
    (file,) = (tmp_path / ".opeva" / "secrets").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_another_installation_has_another_secret(tmp_path: Path) -> None:
    assert installation_secret(Layout(tmp_path / "a")) != installation_secret(Layout(tmp_path / "b"))


@pytest.mark.parametrize("content", ["", "zz", "00ff"])
def test_a_file_that_holds_no_secret_is_never_replaced(tmp_path: Path, content: str) -> None:
    layout = Layout(tmp_path)
    layout.secrets.mkdir(parents=True)
    file = layout.secrets / "users.key"
    file.write_text(content)
    with pytest.raises(Unavailable, match="holds no secret"):
        installation_secret(layout)
    assert file.read_text() == content
