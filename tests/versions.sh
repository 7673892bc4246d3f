#!/bin/sh
# The tests that compare with transformers, with others than the installed one, each in a folder of its own:
#   tests/versions.sh [VERSION ...]
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
for version in "${@:-4.57.1}"; do
    place=.venv-transformers/$version
    case $version in 4.*) hub='huggingface_hub<1' tokenizers='tokenizers==0.22.1' ;; *) hub='' tokenizers='' ;; esac
    if [ ! -d "$place/transformers" ]; then
        # Without dependencies: torch and the rest are those of the environment at hand. 4.x needs an older hub, which
        # speaks through requests.
        "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$place" \
            "transformers==$version" ${hub:+"$hub" requests urllib3 idna certifi charset_normalizer "$tokenizers"}
    fi
    echo "== transformers $version"
    PYTHONPATH=$place "$python" -m pytest -q -p no:cacheprovider -m '' -s \
        tests/builtin/test_builtin_params.py tests/builtin/test_edit_extremes.py \
        tests/builtin/test_encoder_steps.py tests/builtin/test_hf_audio_steps.py \
        tests/builtin/test_hf_watermarks.py tests/builtin/test_history_steps.py \
        tests/builtin/test_prefix_allowed_tokens.py tests/builtin/test_samplers_equal_transformers.py \
        tests/builtin/test_stop_rules.py tests/builtin/test_transformers_is_covered.py \
        tests/engine/test_beams_equal_transformers.py tests/engine/test_hf_parity.py tests/engine/test_hf_parity_random.py tests/engine/test_hf_traps.py \
        tests/engine/test_to_hf.py tests/engine/test_custom_generate.py
done
