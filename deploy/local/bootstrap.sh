#!/bin/sh
# Makes .venv and installs into it what requirements.lock pins, then the workspace's members as editables.
# Needs python3 of 3.11 or newer; uv comes from the lock, too. Run it from the repository's root (`make` does).
set -eu
here=$(pwd -P)

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

find_python() {
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    fail "Python 3.11 or newer is not on this machine: install it (Debian 12: apt-get install python3)." \
        "Found: $(python3 --version 2>&1 || true)"
}

# Debian keeps what `python3 -m venv` needs in a package of its own.
ensure_venv_module() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null && return
    version=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing $version …"
        export DEBIAN_FRONTEND=noninteractive
        log=$(mktemp) # a name that another account may have put there first is not written to
        { apt-get update -q && apt-get install -q -y --no-install-recommends "$version"; } >"$log" 2>&1 ||
            fail "apt-get could not install $version:" "$(tail -n 5 "$log")"
        return
    fi
    fail "Python's venv module lacks ensurepip here. Install it, on Debian as root: apt-get install $version"
}

# A virtual environment holds absolute paths, so one that was made elsewhere (a moved clone) is made anew.
ensure_environment() {
    head -n 2 .venv/bin/pip 2>/dev/null | grep -qF "$here/.venv/" && .venv/bin/python -c '' && return
    python=$(find_python)
    ensure_venv_module "$python"
    echo "Making .venv with $("$python" --version) …"
    "$python" -m venv --clear .venv
}

# uv reads no pip configuration: a machine's own index and certificates are handed on.
configured() {
    .venv/bin/pip config list 2>/dev/null | sed -n "s/^global\\.$1='\\(.*\\)'\$/\\1/p" | head -n 1
}

ensure_environment
echo "Installing what requirements.lock pins …"
awk '/^uv==/ {found = 1} found {print} found && !/\\$/ {exit}' requirements.lock >.venv/uv.txt
.venv/bin/pip install -qq --disable-pip-version-check --require-hashes --no-deps -r .venv/uv.txt

index=${UV_DEFAULT_INDEX:-${UV_INDEX_URL:-${PIP_INDEX_URL:-$(configured index-url)}}}
[ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
certificates=${SSL_CERT_FILE:-$(configured cert)}
[ -z "$certificates" ] || export SSL_CERT_FILE="$certificates"

# The lock first, for the members are built with what it brings; then all at once, so that what is stale goes.
for project in shared/*/pyproject.toml services/*/pyproject.toml clients/*/pyproject.toml deploy/*/pyproject.toml; do
    echo "-e $here/${project%/pyproject.toml}"
done >.venv/members.txt
.venv/bin/uv pip install -q --python .venv --require-hashes -r requirements.lock
.venv/bin/uv pip sync -q --python .venv --no-build-isolation requirements.lock .venv/members.txt
