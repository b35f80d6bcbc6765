#!/usr/bin/env bash
# The environment .venv-mlflow with a real MLflow server, for tests. Its lock leaves out what only MLflow's model flavours
# need (scikit-learn, matplotlib, pyarrow). Running it again costs nothing once it is complete.
set -euo pipefail
cd "$(dirname "$0")/.."

FOLDER=.venv-mlflow
LOCK=scripts/mlflow.lock

wanted=$(sha256sum "$LOCK" | cut -d' ' -f1)
[ "$(cat "$FOLDER/.installed" 2>/dev/null)" != "$wanted" ] || exit 0
echo "setup-mlflow: installing $LOCK into $FOLDER"
scripts/setup.sh
rm -rf "$FOLDER"
.venv/bin/python -m venv "$FOLDER"
"$FOLDER/bin/python" -m pip install -qq --no-input --disable-pip-version-check --root-user-action=ignore \
  --no-deps --require-hashes -r "$LOCK"
echo "$wanted" >"$FOLDER/.installed"
