#!/usr/bin/env bash
# Make the browser tests possible: Debian's chromium and its driver.
#
# Does nothing when both are present. Installs them where it can (root and apt). Otherwise says in one line what is
# missing and exits 0, because only tests marked "browser" need them. With --require it exits 1 instead.
#
# It runs before anything is installed and stands alone, as install_vulkan.sh does; so what the two have in common
# (apt_get, give_up) is written twice.
set -u
must_have=false
[ "${1:-}" = "--require" ] && must_have=true

there() { command -v chromium >/dev/null 2>&1 && command -v chromedriver >/dev/null 2>&1; }

give_up() {
    echo "browser: $1; the browser tests will be skipped." >&2
    $must_have && exit 1
    exit 0
}

there && exit 0
command -v apt-get >/dev/null 2>&1 || give_up "chromium is not installed and this system has no apt-get"
[ "$(id -u)" -eq 0 ] || give_up "chromium is not installed and installing it needs root"

export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# An unreachable mirror must end in a message, not in a hang.
apt_get() { apt-get -q -y -o Acquire::Retries=2 -o Acquire::http::Timeout=30 "$@" >>"$log" 2>&1; }

echo "browser: installing chromium and its driver ..." >&2
apt_get update || give_up "apt-get update failed ($(tail -n 1 "$log"))"
apt_get install --no-install-recommends chromium chromium-driver fonts-dejavu-core ||
    give_up "apt-get could not install chromium ($(tail -n 1 "$log"))"
there || give_up "chromium was installed but is not found"
echo "browser: $(chromium --version 2>/dev/null) installed." >&2
