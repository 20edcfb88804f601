# The executable for arm64 as daemon and client, with a machine, in its own namespaces: /run is empty, so that it finds
# neither systemd nor a bus. Prints one line for each step.
set -e
machined=$1
# The caller sets a time limit.
wait_for() { until "$@"; do sleep .1; done; }
ip link set lo up
"$machined" systemd-machined &
daemon=$!
wait_for test -S /run/systemd/machine/io.systemd.Machine

unshare --mount --uts --ipc --net --pid --fork --kill-child --mount-proc sh -c '
	ip link set lo up; ip address add 192.0.2.10/24 dev lo; touch /root/ready; sleep infinity & wait' &
unshared=$!
wait_for test -e /root/ready
leader=$(cat /proc/$unshared/task/$unshared/children)

"$machined" machinectl register web --leader="${leader% }"
echo "list: $("$machined" machinectl list --no-legend)"
echo "name: $(/root/lookup web)"

mkdir -p /root/tree/etc /root/images
echo "ID=imported" > /root/tree/etc/os-release
tar --create --gzip --file=/root/tree.tar.gz --directory=/root/tree .
"$machined" systemd-import --image-root=/root/images tar /root/tree.tar.gz imported
echo "import: $(cat /root/images/imported/etc/os-release)"

"$machined" machinectl terminate web
wait_for sh -c '! kill -0 "$1" 2>/dev/null' sh "$unshared"
kill "$daemon"
echo "end: $(ls /run/systemd/machines | wc -l) machines"
