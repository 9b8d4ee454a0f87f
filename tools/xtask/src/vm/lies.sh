# A device that lies or dies under the module: errors, resets, no oops, no hang, and then everything works again.
load hang_timeout_ms=2000 || exit_now
tests=/opt/vinci/tests/conformance
own=${plain%.ko}
set -- /sys/bus/pci/drivers/vinci/0*
function=$1

base() { VINCI_DEVICE=$(node) timeout -s KILL 60 $tests/base; }
node() { ls /dev/accel/accel* | tail -n 1; }
reload() { timeout -s KILL 30 rmmod $own && insmod $module hang_timeout_ms=2000; }
reset() { echo 1 > $function/reset; }

# during LIE PROGRAM: the program may fail, but it ends.
during() {
    device lie-$1 || return 1
    VINCI_DEVICE=$(node) timeout -s KILL 90 $tests/$2
    code=$?
    device honest
    echo "$2 ended with $code"
    [ $code != 137 ]
}

# As that, where a program may wait for ever: a queue whose fence went back to an entry that waits looks like one that
# may wait. It can be killed.
during_or_killed() {
    device lie-$1 || return 1
    VINCI_DEVICE=$(node) timeout -s KILL 20 $tests/$2
    echo "$2 ended with $?"
    device honest
}

all_ones() { during all-ones base && reset && base; }
all_ones_in_work() { during all-ones threads && reload && base; }
all_ones_at_probe() {
    rmmod $own
    device lie-all-ones
    insmod $module
    bound=$(ls /dev/accel 2>/dev/null)
    rmmod $own
    device honest
    insmod $module hang_timeout_ms=2000 && [ -z "$bound" ] && base
}
unknown_completion() { during unknown-completion base && reset && base; }
unknown_completion_in_work() { during unknown-completion threads && reload && base; }
fence_backwards() { during fence-backwards base && reload && base; }
fence_backwards_in_work() { during_or_killed fence-backwards threads && reload && base; }

# digits: the program trains, and must end by itself with an error.
digits_fails() {
    VINCI_DEVICE=$(node) timeout -s KILL 90 /opt/vinci/tests/digits --data /opt/vinci/tests/digits.csv
    code=$?
    echo "digits ended with $code"
    [ $code != 0 ] && [ $code != 137 ]
}

# A kernel that does not end costs its queue, and nobody else; the program's other stream does not wait for it for ever.
hang() { device hang --die 0 && digits_fails && base; }

# Firmware that crashes costs the queue at which it does.
crash() { device crash --die 0 && digits_fails && base; }

ecc() { device ecc-single --die 1 && VINCI_DEVICE=$(node) npu-smi info; }

# Pulled out while a program works. The module goes; a function does not come back by itself.
removed() {
    VINCI_DEVICE=$(node) timeout -s KILL 60 $tests/threads &
    sleep 0.3
    device remove || return 1
    wait $!
    code=$?
    echo "threads ended with $code"
    [ $code != 137 ] && timeout -s KILL 30 rmmod $own && insmod $module && [ ! -e /dev/accel ]
}

step works 0 base
for trouble in all_ones all_ones_in_work all_ones_at_probe unknown_completion unknown_completion_in_work \
    fence_backwards fence_backwards_in_work ecc hang crash removed; do
    step $trouble 0 $trouble
done
step unload 30 rmmod $own
step leaks 0 leaks
