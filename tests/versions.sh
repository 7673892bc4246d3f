#!/usr/bin/env bash
# The whole suite with others than the installed transformers, each in a folder of its own:
#   tests/versions.sh [VERSION ...]
# What fails with one version does not keep the next from being tried. The last lines say how each fared.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
# What compares with transformers' generate in random configurations, the slow ones included: one process, for it prints
# its figures.
parity="-s -o addopts= tests/engine/test_beams_equal_transformers.py tests/engine/test_hf_parity_random.py"
[ $# -gt 0 ] || set -- 4.57.1 5.23.0

install() { # VERSION FOLDER
    # Without dependencies: torch and the rest are those of the environment at hand. 4.x needs an older hub, which
    # speaks through requests.
    case $1 in
        4.*) set -- "$@" 'huggingface_hub<1' requests urllib3 idna certifi charset_normalizer 'tokenizers==0.22.1' ;;
    esac
    local version=$1 folder=$2
    shift 2
    rm -rf "$folder.part"
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder.part" \
        "transformers==$version" "$@"
    mv "$folder.part" "$folder"
}

workers=$("$python" -c 'from importlib.util import find_spec; print("-n auto" if find_spec("xdist") else "")')
log=$(mktemp)
trap 'rm -f "$log"' EXIT
summary="" status=0
for version in "$@"; do
    # Absolute, for the processes that tests start elsewhere; tests/test_transformers_under_test.py sees to it.
    folder=$PWD/.venv-transformers/$version
    [ -d "$folder/transformers" ] || install "$version" "$folder"
    export PYTHONPATH=$folder TRANSFORMERS_UNDER_TEST=$version
    for part in suite parity; do
        case $part in suite) options=$workers ;; parity) options=$parity ;; esac
        echo "== transformers $version, $part: pytest $options"
        # shellcheck disable=SC2086  # several words
        "$python" -m pytest -q -p no:cacheprovider $options 2>&1 | tee "$log" || status=1
        summary+="transformers $version, $part: $(tail -n 1 "$log")"$'\n'
    done
done
printf '== summary\n%s' "$summary"
exit $status
