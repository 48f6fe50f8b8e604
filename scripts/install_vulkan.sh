#!/usr/bin/env bash
# Make software Vulkan rendering possible: SAPIEN needs Mesa >= 24.3 (VK_KHR_external_semaphore_fd in lavapipe).
#
# Does nothing when a suitable driver is present. Installs mesa-vulkan-drivers where it can (root and apt;
# from backports where the release itself is too old). Otherwise says in one line what is missing and
# exits 0, because everything but pictures works without it. With --require it exits 1 instead.
#
# It runs before anything is installed and is copied alone onto machines, so what it has in common with
# install_chromium.sh (apt_get, give_up) is written twice.
set -u
required_major=24
required_minor=3
must_have=false
[ "${1:-}" = "--require" ] && must_have=true

new_enough() { # "25.0.7-2~bpo12+1" -> true
    local major minor
    major=${1%%.*}
    minor=${1#*.}
    minor=${minor%%.*}
    case "$major$minor" in "" | *[!0-9]*) return 1 ;; esac
    [ "$major" -gt $required_major ] || { [ "$major" -eq $required_major ] && [ "$minor" -ge $required_minor ]; }
}

installed_mesa() { dpkg-query -W -f '${Version}' mesa-vulkan-drivers 2>/dev/null; }

give_up() {
    echo "rendering: $1; pictures will not work (run 'scaffold-bench doctor' for the fix)." >&2
    $must_have && exit 1
    exit 0
}

# A GPU driver renders by itself; SAPIEN finds it through its own Vulkan loader.
command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1 && exit 0
new_enough "$(installed_mesa)" && exit 0
command -v apt-get >/dev/null 2>&1 || give_up "no Vulkan driver found and this system has no apt-get"
[ "$(id -u)" -eq 0 ] || give_up "Mesa >= $required_major.$required_minor is not installed and installing it needs root"

export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# An unreachable mirror must end in a message, not in a hang.
apt_get() { apt-get -q -y -o Acquire::Retries=2 -o Acquire::http::Timeout=30 "$@" >>"$log" 2>&1; }
candidate() { apt-cache policy mesa-vulkan-drivers | sed -n 's/^ *Candidate: *//p'; }

echo "rendering: installing Mesa's software Vulkan driver ..." >&2
apt_get update || give_up "apt-get update failed ($(tail -n 1 "$log"))"
if new_enough "$(candidate)"; then
    apt_get install --no-install-recommends mesa-vulkan-drivers || give_up "apt-get could not install mesa-vulkan-drivers"
else
    . /etc/os-release
    [ "${ID:-}" = debian ] && [ -n "${VERSION_CODENAME:-}" ] ||
        give_up "this release's Mesa ($(candidate)) is older than $required_major.$required_minor"
    # The mirror is the one the machine already uses for its own release.
    mirror=$({ sed -n 's/^URIs: *\([^ ]*\).*/\1/p' /etc/apt/sources.list.d/*.sources
        sed -n 's/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\) '"$VERSION_CODENAME"' .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/*.list; } 2>/dev/null | head -n 1)
    [ -n "$mirror" ] || give_up "no Debian mirror found in apt's sources"
    echo "deb $mirror $VERSION_CODENAME-backports main" >/etc/apt/sources.list.d/scaffold-bench-backports.list
    apt_get update || give_up "apt-get update failed ($(tail -n 1 "$log"))"
    apt_get install --no-install-recommends -t "$VERSION_CODENAME-backports" mesa-vulkan-drivers ||
        give_up "apt-get could not install mesa-vulkan-drivers from backports"
fi
new_enough "$(installed_mesa)" || give_up "Mesa is still older than $required_major.$required_minor"
echo "rendering: Mesa $(installed_mesa) installed." >&2
