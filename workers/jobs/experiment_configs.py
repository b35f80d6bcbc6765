"""The experiment configs that people keep under `configs/`: one YAML file each, its text kept as it was given."""

import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

from workers.common import names
from workers.common.errors import Conflict, ErrorCode, InvalidInput, NotFound, OpevaError, TooLarge
from workers.common.files import read_beneath, storage_error, sync_folder, write_atomic
from workers.common.layout import Layout
from workers.jobs import strict_yaml

#: What a file system says that has no hard links.
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class ConfigStore:
    """Lists, reads and changes the configs of one installation.

    Names are checked on every call (InvalidInput); `configs/x.yaml` means `x.yaml`. Links are not followed: only
    regular files are configs. Storage that fails raises StorageFull or Unavailable.
    """

    def __init__(self, layout: Layout, max_bytes: int = strict_yaml.MAX_BYTES) -> None:
        self._layout = layout
        #: Largest text of a config, in bytes of UTF-8.
        self.max_bytes = max_bytes

    def list(self) -> list[str]:
        """The names of all configs, sorted."""
        try:
            with os.scandir(self._layout.configs) as entries:
                return sorted(e.name for e in entries if e.is_file(follow_symlinks=False) and _is_name(e.name))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise storage_error(error, self._layout.configs) from error

    def read_text(self, name: str) -> str:
        """A config's text, exactly as it is in the file.

        Raises:
            NotFound: there is no such config.
            TooLarge: the file is over `max_bytes`.
            Unprocessable: it is not UTF-8.
        """
        name = names.config_file_name(name)
        try:
            raw = read_beneath(self._layout.configs, name, self.max_bytes + 1)
        except (NotFound, FileNotFoundError) as error:
            raise _unknown(name) from error
        except OSError as error:
            raise storage_error(error, self._layout.config(name)) from error
        if len(raw) > self.max_bytes:
            raise TooLarge(
                f"The experiment config {name} is larger than {self.max_bytes} bytes", ErrorCode.CONFIG_TOO_LARGE
            )
        return strict_yaml.decode(raw, name)

    def read(self, name: str) -> dict[str, Any]:
        """A config as an object (see `strict_yaml.loads`); non-finite numbers may be among its values.

        Raises:
            NotFound, TooLarge, Unprocessable: as `read_text`, or its YAML is refused.
        """
        name = names.config_file_name(name)
        return strict_yaml.loads(self.read_text(name), name, self.max_bytes)

    def create(
        self, name: str, content: dict[str, Any] | None = None, text: str | None = None, overwrite: bool = False
    ) -> str:
        """Add a config, given as an object or as a text; returns its name. Of several that race, one wins.

        Raises:
            Conflict: it exists (`config_exists`) and `overwrite` is not asked for.
            InvalidInput: neither or both of `content` and `text` are given, or `content` can't be written as YAML.
            TooLarge, Unprocessable: the text is refused.
        """
        name = names.config_file_name(name)
        raw = self._checked(name, content, text).encode()
        self._make_folder()
        if overwrite:
            self._write(name, raw)
        else:
            self._write_new(name, raw)
        return name

    def replace(self, name: str, content: dict[str, Any] | None = None, text: str | None = None) -> str:
        """Change an existing config; returns its name.

        An object that says what the file says already leaves the file alone, its comments and spellings with it.

        Raises:
            NotFound: there is no such config.
            InvalidInput, TooLarge, Unprocessable: as `create`.
        """
        name = names.config_file_name(name)
        self._must_exist(name)
        checked = self._checked(name, content, text)
        if content is None or not self._says(name, content):
            self._write(name, checked.encode())
        return name

    def delete(self, name: str) -> str:
        """Remove a config; returns its name. Jobs keep their snapshots.

        Raises:
            NotFound: there is no such config.
        """
        name = names.config_file_name(name)
        self._must_exist(name)
        try:
            self._layout.config(name).unlink()
            sync_folder(self._layout.configs)
        except FileNotFoundError as error:
            raise _unknown(name) from error
        except OSError as error:
            raise storage_error(error, self._layout.config(name)) from error
        return name

    def save_as(self, name: str, text: str) -> str:
        """Keep a checked text under a name; the same text being there already is fine. Returns the name.

        Raises:
            Conflict: the config exists with other content (`config_exists`).
        """
        name = names.config_file_name(name)
        try:
            return self.create(name, text=text)
        except Conflict:
            if self._text_or_none(name) == text:
                return name
            raise

    def _checked(self, name: str, content: dict[str, Any] | None, text: str | None) -> str:
        """The text to write, known to be read back without complaint."""
        if (content is None) == (text is None):
            raise InvalidInput("Give the config either as `config` (an object) or as `yaml_content` (a text)")
        if content is not None:
            if not isinstance(content, dict):
                raise InvalidInput("`config` must be an object")
            text = strict_yaml.dumps(content)
        if not isinstance(text, str):
            raise InvalidInput("`yaml_content` must be a text")
        strict_yaml.loads(text, name, self.max_bytes)
        return text

    def _says(self, name: str, content: dict[str, Any]) -> bool:
        try:
            return self.read(name) == content
        except OpevaError:
            # What stands there is not a config, so that anything may take its place.
            return False

    def _text_or_none(self, name: str) -> str | None:
        try:
            return self.read_text(name)
        except OpevaError:
            return None

    def _must_exist(self, name: str) -> None:
        try:
            mode = self._layout.config(name).lstat().st_mode
        except FileNotFoundError as error:
            raise _unknown(name) from error
        except OSError as error:
            raise storage_error(error, self._layout.config(name)) from error
        if not stat.S_ISREG(mode):
            raise _unknown(name)

    def _make_folder(self) -> None:
        # Not its parents: a root that isn't there is a mount that is missing.
        try:
            self._layout.configs.mkdir(exist_ok=True)
        except OSError as error:
            raise storage_error(error, self._layout.configs) from error

    def _write(self, name: str, raw: bytes) -> None:
        try:
            write_atomic(self._layout.config(name), raw)
        except OSError as error:
            raise storage_error(error, self._layout.config(name)) from error

    def _write_new(self, name: str, raw: bytes) -> None:
        target = self._layout.config(name)
        if target.exists() or target.is_symlink():
            raise _exists(name)
        try:
            _link_new(target, raw)
        except FileExistsError as error:
            raise _exists(name) from error
        except OSError as error:
            raise storage_error(error, target) from error


def _link_new(target: Path, raw: bytes) -> None:
    """Write a file that must not exist yet, whole or not at all. Raises FileExistsError and other OSErrors."""
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, target)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # Without hard links the name is taken first: whoever makes it may fill it.
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
            Path(temporary).replace(target)
    finally:
        Path(temporary).unlink(missing_ok=True)
    sync_folder(target.parent)


def _is_name(text: str) -> bool:
    try:
        return names.config_file_name(text) == text
    except InvalidInput:
        return False


def _unknown(name: str) -> NotFound:
    return NotFound(f"There is no experiment config {name}", ErrorCode.CONFIG_NOT_FOUND)


def _exists(name: str) -> Conflict:
    return Conflict(f"There is an experiment config {name} already", ErrorCode.CONFIG_EXISTS)
