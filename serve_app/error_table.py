"""The codes of errors as a table for people: `python -m serve_app.error_table`.

What a code means and what to do stands beside it (`workers.common.errors.ErrorCode`); its statuses are found where it
is given to an error, whose class has a status (`serve_app.errors.STATUS`).
"""

import ast
import inspect
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from serve_app.errors import CODES, STATUS, error_answer
from workers.common.errors import ErrorCode

_CODE: Final = Path(__file__).resolve().parents[1]
_FOLDERS: Final = ("workers", "deployments", "serve_app")
_STATUS_OF: Final = {kind.__name__: status for kind, status in STATUS.items()}
#: Told within answers whose status is 200 by then, though an error of the domain carries it there.
_WITHIN_ANSWERS: Final = frozenset({ErrorCode.UNREADABLE_DOCUMENT})
_MEMBER: Final = re.compile(r"^ *#: (?P<meaning>.*)\n *#: (?P<remedy>.*)\n *(?P<name>[A-Z_]+) = ", re.MULTILINE)


def table() -> str:
    """A Markdown table of all codes, in the order of the enum."""
    found, explained = statuses(), meanings()
    rows = (
        f"| `{code}` | {', '.join(map(str, sorted(found[code])))} | {' | '.join(explained.get(code, ('', '')))} |"
        for code in ErrorCode
    )
    return "\n".join(["| Code | Status | Meaning | What to do |", "|---|---|---|---|", *rows])


def meanings() -> dict[ErrorCode, tuple[str, str]]:
    """What each code means, and what to do: the two lines before it."""
    source = inspect.getsource(ErrorCode)
    return {ErrorCode[found["name"]]: (found["meaning"], found["remedy"]) for found in _MEMBER.finditer(source)}


def statuses() -> defaultdict[ErrorCode, set[int]]:
    """The statuses that each code is answered with; none for those that only stand in answers of another kind."""
    found: defaultdict[ErrorCode, set[int]] = defaultdict(set)
    for kind, status in STATUS.items():
        found[kind.default_code].add(status)
    for status, code in CODES.items():
        found[code].add(status)
    for _, _, call, given in given_codes():
        member = re.fullmatch(r"ErrorCode\.([A-Z_]+)", ast.unparse(given))
        if member is not None and ErrorCode[member[1]] not in _WITHIN_ANSWERS:
            found[ErrorCode[member[1]]].add(_STATUS_OF.get(_name(call)) or ast.literal_eval(call.args[0]))
    return found


def given_codes() -> Iterator[tuple[Path, int, ast.Call, ast.expr]]:
    """Each place where an error of the domain or an answer is given a code: file, line, call and the code there."""
    for folder in _FOLDERS:
        for path in sorted((_CODE / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                code = _given_code(node)
                if isinstance(node, ast.Call) and code is not None:
                    yield path, node.lineno, node, code


def _given_code(node: ast.AST) -> ast.expr | None:
    if not isinstance(node, ast.Call):
        return None
    name = _name(node)
    if name != error_answer.__name__ and name not in _STATUS_OF:
        return None
    place = 2 if name == error_answer.__name__ else 1
    named = (keyword.value for keyword in node.keywords if keyword.arg == "code")
    return next(iter(node.args[place : place + 1]), next(named, None))


def _name(call: ast.Call) -> str:
    function = call.func
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


if __name__ == "__main__":
    print(table())
