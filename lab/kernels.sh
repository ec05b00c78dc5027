#!/bin/sh
# Runs the tests of the BPF programs, and those of hostagent/kernel, on older
# kernels: Debian's 5.10, 6.1 and 6.12, or those given as arguments, under QEMU
# without hardware virtualisation, on one CPU. It needs root for nothing but the
# installation of what is missing (make test-kernels does that).
#
# Exit status 0: all tests pass on all kernels. 1: some fail. 2: none fails, but
# a kernel is not available.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
logs=${KERNEL_LOGS:-$here/bin/kernels}
mkdir -p "$logs"

[ "$(dpkg --print-architecture)" = amd64 ] || { echo "kernels: only on Debian for amd64" >&2; exit 2; }

# What runs there, without the tests that need FRR, and for how long it may. The
# tests that need VLANs are built for here only (the tag "kernels").
packages="bpf/etherfix bpf/etherfault bpf/uplink hostagent/kernel"
skip='^TestAdvertisementMakesNoDefaultRoute$'
patience=${KERNEL_PATIENCE:-900} # seconds for a kernel

suite() {
	case $1 in
	5.10) echo bullseye ;;
	6.1) echo bookworm ;;
	6.12) echo trixie ;;
	*) echo "kernels: $1 is not one of 5.10, 6.1, 6.12" >&2; exit 2 ;;
	esac
}

# apt works on lists of its own, from the mirrors that this machine uses.
lists() {
	mkdir -p "$work/$1/lists/partial" "$work/$1/cache/archives/partial"
	: >"$work/$1/sources"
	apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | sort -u |
		while read -r label uri; do
			case $label in
			Debian) echo "deb [signed-by=$keys] $uri $1 main" ;;
			Debian-Security) echo "deb [signed-by=$keys] $uri $1-security main" ;;
			esac
		done >"$work/$1/sources"
}
keys=/usr/share/keyrings/debian-archive-keyring.gpg

apt() { # SUITE COMMAND...
	dir=$work/$1
	shift
	tool=$1
	shift
	"$tool" -q -o Dir::Etc::sourcelist="$dir/sources" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o Dir::State::lists="$dir/lists" -o Dir::Cache="$dir/cache" -o APT::Sandbox::User=root \
		-o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "$@"
}

# fetch unpacks the newest kernel of that name into $work/$1/kernel.
fetch() { # KERNEL
	s=$(suite "$1")
	lists "$s"
	apt "$s" apt-get update >"$logs/$1.apt.log" 2>&1 || return 1
	package=$(apt "$s" apt-cache depends linux-image-cloud-amd64 2>>"$logs/$1.apt.log" | awk '/Depends:/ {print $2; exit}')
	case $package in linux-image-"$1".*) ;; *)
		echo "linux-image-cloud-amd64 of $s is '$package'" >>"$logs/$1.apt.log"
		return 1 ;;
	esac
	(cd "$work/$s" && apt "$s" apt-get download "$package" >>"$logs/$1.apt.log" 2>&1 && dpkg-deb -x "$package"_*.deb "$work/$1")
}

modules="llc stp mrp garp 8021q veth sch_ingress cls_bpf dummy"

# image makes the initial file system: busybox, the tools that the tests call,
# the kernel's modules and the tests.
image() { # KERNEL
	root=$work/$1/root
	mkdir -p "$root/bin" "$root/opt" "$root/lib" "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root/etc" "$root/t"
	chmod 1777 "$root/tmp"
	cp "$(command -v busybox)" "$root/bin/"
	for tool in ip tc ping tcpdump sysctl; do
		path=$(readlink -f "$(PATH=$PATH:/usr/sbin:/sbin command -v $tool)")
		cp "$path" "$root/opt/$tool"
		ldd "$path" | grep -o '/[^ ]*' | while read -r library; do
			mkdir -p "$root$(dirname "$library")"
			cp -Ln "$library" "$root$library"
		done
	done
	printf 'root:x:0:0::/:/bin/sh\ntcpdump:x:100:100::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >"$root/etc/passwd"
	cp /etc/protocols "$root/etc/"
	printf 'root:x:0:\ntcpdump:x:100:\nnogroup:x:65534:\n' >"$root/etc/group"
	for m in $modules; do
		file=$(find "$work/$1" -path "*/kernel/*/$m.ko*" | head -1)
		case $file in
		*.xz) xz -dc "$file" >"$root/lib/$m.ko" ;;
		*.zst) zstd -qdc "$file" >"$root/lib/$m.ko" ;;
		?*) cp "$file" "$root/lib/$m.ko" ;;
		esac
	done
	cp "$work"/tests/* "$root/t/"
	{
		cat <<'X'
#!/bin/busybox sh
/bin/busybox mkdir -p /sbin /usr/bin /usr/sbin /run /var
/bin/busybox --install -s
mount -t proc p /proc; mount -t sysfs s /sys; mount -t devtmpfs d /dev; mount -t bpf b /sys/fs/bpf
rm -rf /var/run; ln -s /run /var/run; mount -t tmpfs r /run; mkdir -p /run/netns; mount -t tmpfs t /tmp; chmod 1777 /tmp
export PATH=/opt:/bin:/sbin:/usr/bin:/usr/sbin HOME=/tmp
ip link set lo up
X
		echo "skip='$skip'"
		echo "for m in $modules; do [ -f /lib/\$m.ko ] && insmod /lib/\$m.ko; done"
		cat <<'X'
echo "kernel: $(uname -r)"
cd /t
for test in *.test; do
	./"$test" -test.v -test.timeout=20m -test.skip="$skip" && echo "result: $test ok" || echo "result: $test FAILED"
done
poweroff -f
X
	} >"$root/init"
	chmod 755 "$root/init"
	(cd "$root" && find . | cpio -o -H newc 2>/dev/null | gzip -1) >"$work/$1/initrd"
}

build() {
	mkdir -p "$work/tests"
	for p in $packages; do
		(cd "$here" && CGO_ENABLED=0 go test -tags kernels -c -o "$work/tests/$(echo "$p" | tr / -).test" "./$p")
	done
}

boot() { # KERNEL
	timeout "$patience" qemu-system-x86_64 -accel tcg -cpu max -m 1536 -smp 1 -nographic -no-reboot \
		-kernel "$work/$1"/boot/vmlinuz-* -initrd "$work/$1/initrd" -append "console=ttyS0 panic=-1 quiet" \
		</dev/null >"$logs/$1.log" 2>&1 || echo "result: QEMU ended with status $?, after $patience s it is stopped FAILED" >>"$logs/$1.log"
}

# tell says in a few lines what became of the tests.
tell() { # KERNEL SECONDS
	tr -d '\r' <"$logs/$1.log" | awk -v want="$(echo $packages | wc -w)" -v seconds="$2" '
		/kernel: [0-9]/ { print "==", $NF " (" seconds " s)" }
		/^ *--- FAIL/ { print }
		/this kernel / { sub(/^ *[a-z_]*\.go:[0-9]*: /, ""); if (!said[$0]++) print "  " $0 }
		/^result: / { print "  " substr($0, 9); if (/ ok$/) good++ }
		END { exit good != want }' && return 0
	echo "  all of it: $logs/$1.log"
	return 1
}

build
status=0
for kernel in ${*:-5.10 6.1 6.12}; do
	if ! fetch "$kernel"; then
		echo "== $kernel: not available from this machine's mirrors: $(tail -1 "$logs/$kernel.apt.log")"
		[ $status = 1 ] || status=2
		continue
	fi
	image "$kernel"
	began=$(date +%s)
	boot "$kernel"
	tell "$kernel" $(($(date +%s) - began)) || status=1
done
exit $status
