#!/bin/sh
# Process 1 of the guest. ttyS0 is the kernel's console, ttyS1 the terminal, ttyS2 tells the host what happens:
# "up RELEASE SECONDS", "begin STEP SECONDS", "end STEP STATUS SECONDS", "exit STATUS".
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm /tmp /run
mount -t devpts pts /dev/pts
mount -t tmpfs tmp /tmp
mount -t tmpfs shm /dev/shm
[ -d /sys/kernel/debug ] && mount -t debugfs debug /sys/kernel/debug
[ -d /sys/kernel/tracing ] && mount -t tracefs trace /sys/kernel/tracing
ip link set lo up 2>/dev/null

export PATH=/opt/vinci/bin:/bin LD_LIBRARY_PATH=/opt/vinci/lib64 HOME=/root TERM=vt100
export ASCEND_HOME_PATH=/opt/vinci VINCI_DEVICE=/dev/accel/accel0
ulimit -l unlimited

kmemleak=/sys/kernel/debug/kmemleak
uptime() { cut -d' ' -f1 /proc/uptime; }
tell() { echo "$*" >&3; }

# device WHAT…: lets the host do something to the device, as `vinci device inject WHAT…` does; fails if that fails.
device() {
    tell "device $*"
    read -r answer <&3
    [ "$answer" = done ]
}

# step NAME SECONDS COMMAND…: runs a command with a limit (0: a function, which sets its own); its output goes to the
# terminal after a headline.
step() {
    name=$1 limit=$2; shift 2
    tell "begin $name $(uptime)"
    [ $headlines = no ] || echo "=== $name" > /dev/ttyS1
    case $limit in
    0) "$@" ;;
    *) timeout -s KILL "$limit" "$@" ;;
    esac < /dev/null > /dev/ttyS1 2>&1
    code=$?
    tell "end $name $code $(uptime)"
    # 77: skipped, with a reason.
    [ $code = 0 ] || [ $code = 77 ] || failed=1
    return $code
}

# fuzz_uapi SECONDS CALLS: random requests from several processes, of which some are killed; 100,000 at a time, with a
# look at what is left.
fuzz_uapi() {
    seed=1 left=$2
    while [ $left -gt 0 ]; do
        calls=$((left < 100000 ? left : 100000))
        step fuzz-uapi/$seed $1 /opt/vinci/tests/fuzz-uapi --device "$(ls /dev/accel/accel* | tail -n 1)" \
            --calls $calls --seed $seed --workers 4 --resets --patience 300
        seed=$((seed + 1)) left=$((left - calls))
    done
}

# Inserts the modules in order, ours with parameters.
load() {
    for module in /modules/*.ko; do
        plain=${module##*/[0-9][0-9]-}
        case $plain in
        vinci.ko) step "load/${plain%.ko}" 30 insmod "$module" "$@" || return 1 ;;
        *) step "load/${plain%.ko}" 30 insmod "$module" || return 1 ;;
        esac
    done
}

# The end: tells the status and turns the machine off.
exit_now() {
    tell "exit ${status:-$failed}"
    sync
    poweroff -f
}

# Objects younger than some seconds are not looked at, and one scan does not find all.
leaks() {
    [ -e $kmemleak ] || return 0
    sleep 6
    for i in 1 2 3; do echo scan > $kmemleak; sleep 1; done
    [ -z "$(head -c 1 $kmemleak)" ] || { cat $kmemleak > /dev/ttyS0; return 1; }
}

exec 3<> /dev/ttyS2
stty -F /dev/ttyS2 raw -echo
stty -F /dev/ttyS1 -onlcr
# From here on the console shows everything.
dmesg -n 8
tell "up $(uname -r) $(uptime)"
[ -e $kmemleak ] && echo clear > $kmemleak
headlines=yes failed=0
. /work.sh
exit_now
