#!/usr/bin/env bash
# The two environments in which built datasets are proven: CityLearn and softcpsrecsimulator both install as
# `citylearn`, and neither can share an environment with Ray's pandas, so each has one of its own. No torch.
# Running it again costs nothing once both are complete.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3.11}
COMMON=("numpy<2" "pandas<2.3" pyyaml scikit-learn simplejson "gymnasium==0.28.1" platformdirs requests)

environment() { # folder, requirement
  local folder=$1 requirement=$2 done_mark=$1/.complete
  if [ "$(cat "$done_mark" 2>/dev/null)" = "$requirement" ]; then
    return
  fi
  echo "Preparing $folder with $requirement"
  rm -rf "$folder"
  "$PYTHON" -m venv "$folder"
  "$folder/bin/pip" install --quiet "${COMMON[@]}"
  "$folder/bin/pip" install --quiet --no-deps "$requirement"
  "$folder/bin/python" -c 'from citylearn.citylearn import CityLearnEnv'
  printf '%s' "$requirement" >"$done_mark"
}

environment .venv-citylearn "citylearn==3.0.2"
environment .venv-softcps "softcpsrecsimulator==1.7.0"
