#!/bin/sh
# Installs the Debian packages that the lab and the tests need, and those given
# as arguments (command:package, or /path:package), and says which.
# Nothing is started: the lab runs FRR's daemons itself, in its own namespaces.
set -eu

# command -> package
needs="zebra:frr vtysh:frr bird:bird2 ip:iproute2 sysctl:procps tcpdump:tcpdump ping:iputils-ping rdisc6:ndisc6 nft:nftables stress-ng:stress-ng $*"

fail() { echo "setup: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "root is needed, for network namespaces and to install packages; make check does without"

PATH=$PATH:/usr/lib/frr:/usr/sbin:/sbin
missing=
for need in $needs; do
	case $need in
	/*) [ -e "${need%%:*}" ] && continue ;;
	*) command -v "${need%%:*}" >/dev/null 2>&1 && continue ;;
	esac
	case " $missing " in *" ${need##*:} "*) ;; *) missing="$missing ${need##*:}" ;; esac
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
	fail "this distribution has no apt-get: install the equivalents of:$missing"
fi

echo "setup: installing from Debian:$missing"

# A package starts its service as soon as it is unpacked; a routing daemon in
# the host's own namespace is the last thing a lab should leave running.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	trap 'rm -f "$policy"' EXIT
fi
log=$(mktemp)
if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1; then
	cat "$log" >&2
	fail "apt-get could not install:$missing"
fi
rm -f "$log"
# Nor should they start at the next boot on a machine that never asked for it.
if [ -d /run/systemd/system ]; then
	for unit in frr bird; do
		case " $missing " in *" $unit"*) systemctl disable --quiet "$unit" 2>/dev/null || true ;; esac
	done
fi
