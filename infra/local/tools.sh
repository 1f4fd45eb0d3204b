#!/bin/sh
# Puts the pinned Python tools (emulators, SAM CLI, cargo-lambda, cfn-lint) into a virtual environment, once per version of
# requirements.txt. Usage: tools.sh <folder>
set -eu
venv=$1
here=$(dirname "$0")
requirements=$here/requirements.txt

die() {
    printf '\n%s\n' "$*" >&2
    exit 1
}

python=${PYTHON:-python3}
command -v "$python" >/dev/null 2>&1 ||
    die "Python 3.10 or newer is needed, and there is no '$python' on this machine."
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2] if sys.version_info >= (3, 10) else "")' 2>/dev/null) || version=
[ -n "$version" ] ||
    die "Python 3.10 or newer is needed; '$python' is $("$python" --version 2>&1). Name another one with PYTHON=..."

stamp="python $version, requirements $(cksum <"$requirements")"
[ "$(cat "$venv/stamp" 2>/dev/null || true)" = "$stamp" ] && exit 0

echo "Installing the emulators and the SAM CLI into $venv (once, about a minute) ..."
rm -rf "$venv"
mkdir -p "$(dirname "$venv")"
"$python" -m venv "$venv" >"$venv.log" 2>&1 ||
    die "Python cannot make virtual environments here. On Debian and Ubuntu: apt-get install python3-venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$requirements" >"$venv.log" 2>&1 ||
    die "The Python packages could not be installed: $(grep -m1 -i error "$venv.log" || tail -n1 "$venv.log") (all of it: $venv.log)"
rm -f "$venv.log"
echo "$stamp" >"$venv/stamp"
