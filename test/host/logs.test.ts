// `machinectl logs` in a booted host: the journal inside, across reboots of the machine, after its end; consoles;
// users; and what a hostile machine can do. The machines: a container with systemd (deb1), and one whose only program
// is busybox (bb).
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Bed, isStock } from "../lib/bed.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

let bed: Bed;

/** Returns a script that starts a machine whose only program is busybox, in a unit of the same name. */
const startBusybox = (name: string) => `
mkdir -p /var/lib/machines/${name}/{usr/bin,proc,sys,dev,tmp,run,etc}
ln -sf usr/bin /var/lib/machines/${name}/bin
cp /bin/busybox /var/lib/machines/${name}/usr/bin/busybox
systemd-run --unit=${name} -q -p KillMode=mixed systemd-nspawn -q --keep-unit --register=yes -M ${name} -D /var/lib/machines/${name} \\
  --private-network /usr/bin/busybox sh -c 'echo hello from ${name}; exec busybox sleep 100000'
until machinectl show ${name} >/dev/null 2>&1; do sleep .1; done
# The line about its start has the text, too, in the command line.
until journalctl -q -u ${name} | grep -q ': hello from ${name}'; do sleep .1; done`;

/** Waits until deb1 has booted, for scripts. */
const BOOTED =
  "booted() { case $(systemctl -M deb1 is-system-running 2>/dev/null) in running|degraded) ;; *) false;; esac; }";

describe.skipIf(isStock)(isStock ? "logs (left out: a feature of machined)" : "logs", () => {
  const OURS = "/srv/machined/machined machinectl";

  beforeAll(async () => {
    bed = await Bed.boot("logs");
    await bed.startContainer("deb1");
  }, GUARD_MS);

  afterAll(() => bed.stop(), GUARD_MS);

  /** Runs a script in the bed, encoded, because `$$` and `${…}` would be replaced on the way. */
  function run(script: string): Promise<string> {
    const waiting = 'wait_for() { until "$@"; do sleep .1; done; }';
    const wrapped = Buffer.from(`${waiting}\n${BOOTED}\n${script}`).toString("base64");
    return bed.run(`bash -c "$(base64 -d <<<'${wrapped}')"`);
  }

  const INSIDE = "Showing the journal inside machine 'deb1'";

  test(
    "a reader that has gone is no error",
    async () => {
      // More than a pipe holds, in lines that arrive after the reader has gone.
      expect(
        await run(`${OURS} exec deb1 sh -c 'seq 20000 | logger; journalctl --sync'; mkfifo /tmp/gone
          ${OURS} logs -q deb1 >/tmp/gone & head -n 1 /tmp/gone >/dev/null; wait $!; echo $?`),
      ).toBe("0");
    },
    GUARD_MS,
  );

  // An entry of several lines about a unit is written as a core dump of it is.
  const LOG_LINES = `import socket, struct, sys
message = "two lines:\\n   \\u00e9\\n\\n    -- cursor: m=1".encode()
entry = f"MESSAGE_ID=fc2e22bc6ee647b6b90729ab34a250b1\\nCOREDUMP_UNIT={sys.argv[1]}.service\\nPRIORITY=3\\nMESSAGE\\n".encode()
entry += struct.pack("<Q", len(message)) + message + b"\\n"
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(entry, "/run/systemd/journal/socket")`;

  test(
    "status ends with the entries with which the distribution's machinectl ends, also of a machine that was started twice",
    async () => {
      const text = await run(`${startBusybox("twice")}
        systemctl stop twice; systemctl reset-failed twice 2>/dev/null
        ${startBusybox("twice")}; ${startBusybox("once")}
        until [[ $(journalctl -q -u once -u twice | grep -c ': hello from ') == 3 ]]; do sleep .1; done
        for unit in twice once; do python3 -c '${LOG_LINES}' $unit; done; journalctl --sync
        compare() {
          for program in "env SYSTEMD_URLIFY=0 /usr/bin/machinectl" "${OURS}"; do
            $program status $machine -o $mode $words | sed -n '/^$/,$p' >"/tmp/status of \${program##*/}"
          done
          cmp /tmp/status* || {
            # Again, if an entry has come between the two programs.
            local before=$entries; entries=$(journalctl -q -u $machine | wc -l)
            [[ $entries != $before ]] && compare
          }
        }
        for machine in once twice; do entries=$(journalctl -q -u $machine | wc -l); for mode in short short-iso short-monotonic with-unit short-delta; do
          for words in "-n 1" "-n 2" "-n 3" "-n 100"; do for colours in 0 1; do
            export SYSTEMD_COLORS=$colours
            compare >/tmp/differ || { cat /tmp/differ /tmp/status*; echo "$machine -o $mode $words, colours $colours"; }
        done; done; done; done
        journalctl -q -u twice | grep -c ': hello from twice'; ${OURS} status twice -n 100 | grep -c ': hello from twice'
        ${OURS} status twice -n 100 | grep -c 'two lines:'; systemctl stop once twice`);
      expect(text).toBe("2\n1\n1");
    },
    GUARD_MS,
  );

  test(
    "with the distribution's daemon the machine's journal is shown",
    async () => {
      expect(
        await run(
          `${OURS} exec deb1 sh -c 'logger early-mark; journalctl --sync'; ${OURS} logs deb1 -g early-mark -o cat`,
        ),
      ).toBe(`${INSIDE}\nearly-mark`);
    },
    GUARD_MS,
  );

  test(
    "options are passed to journalctl, and its exit status is returned",
    async () => {
      await bed.install();
      await run("machinectl exec deb1 sh -c 'for i in 1 2 3; do logger -t marks mark-$i; done; journalctl --sync'");
      expect(await run("machinectl logs deb1 -g '^mark-[12]$' -o cat -q")).toContain("mark-1\nmark-2");
      expect(
        await run("machinectl logs deb1 -q -n 1 -u systemd-journald -o json | grep -c systemd-journald.service"),
      ).toBe("1");
      expect(await run('machinectl logs deb1 -q -g mark-3 --json=short | grep -c \'"MESSAGE":"mark-3"\'')).toBe("1");
      expect(await run("machinectl logs deb1 -q --since=-1h --until=-50min -o cat | grep -vc 'No entries'; true")).toBe(
        "0",
      );
      expect(await run("machinectl logs deb1 -q --since=bogus; echo $?")).toBe("Failed to parse timestamp: bogus\n1");
      expect(await run("machinectl logs nosuch; echo $?")).toMatch(/^There is no log of machine 'nosuch': .*\n1$/);
      expect(await run("machinectl -H somewhere logs deb1; echo $?")).toMatch(
        /^logs reads journals of machines of this host only: .*\n1$/,
      );
    },
    GUARD_MS,
  );

  test(
    "output formats for programs are passed on byte by byte",
    async () => {
      const until = "--until=@$(($(date +%s) - 1))";
      expect(
        await run(
          `until=${until}; machinectl logs deb1 -q -o export $until | cmp - <(machinectl exec deb1 journalctl -q -o export $until) && echo same`,
        ),
      ).toBe("same");
    },
    GUARD_MS,
  );

  test(
    "-f continues after a reboot, and after an end and a new start, without a line lost or printed twice",
    async () => {
      const script = `
      for mode in json short; do machinectl logs -f deb1 -o $mode >/tmp/f.$mode 2>/tmp/f.err.$mode & eval pid_$mode=$!; done
      for mode in json short; do wait_for test -s /tmp/f.$mode; done
      both() { grep -q "$1" /tmp/f.json && grep -q "$1" /tmp/f.short; }
      machinectl exec deb1 logger mark-first-life; wait_for both mark-first-life
      leader=$(machinectl show -P Leader deb1)
      machinectl reboot deb1; while [ "$(machinectl show -P Leader deb1 2>/dev/null)" = $leader ]; do sleep .1; done
      wait_for booted; machinectl exec deb1 logger mark-second-life; wait_for both mark-second-life
      machinectl poweroff deb1; gone() { ! machinectl show deb1 >/dev/null 2>&1; }; wait_for gone
      # A machine that is started at once may be back before the reader has looked.
      wait_for grep -q 'does not run' /tmp/f.err.short
      # The machine ends before its unit; while that is active, starting it does nothing.
      wait_for sh -c '! systemctl is-active -q systemd-nspawn@deb1'; systemctl start systemd-nspawn@deb1.service
      wait_for booted; machinectl exec deb1 logger mark-third-life; wait_for both mark-third-life
      kill $pid_json $pid_short; wait $pid_json $pid_short
      machinectl exec deb1 journalctl --sync
      machinectl exec deb1 journalctl -q -o json > /tmp/all.json; machinectl exec deb1 journalctl -q -o short > /tmp/all.short
      # When journald moves a boot's journal to the disk its entries get other numbers in another file.
      cursors() { grep -o '"__CURSOR":"[^"]*"' $1 | sed 's/s=[^;]*;i=[^;]*;//'; }
      from=$(cursors /tmp/f.json | sed -n 1p); to=$(cursors /tmp/f.json | sed -n '$p')
      cursors /tmp/all.json | awk -v from="$from" -v to="$to" '$0 == from { on = 1 } on; $0 == to { exit }' > /tmp/expected
      cursors /tmp/f.json | diff - /tmp/expected && echo entries $(($(wc -l < /tmp/expected) > 100))
      lines() { grep -v '^-- ' $1; }
      lines /tmp/f.short > /tmp/shown; lines /tmp/all.short > /tmp/all
      begin=$(grep -n -m1 -xF "$(head -1 /tmp/shown)" /tmp/all | cut -d: -f1)
      # Sorted: journalctl orders entries of one moment in several files in another way when it does not follow.
      sed -n "$begin,$((begin + $(wc -l < /tmp/shown) - 1))p" /tmp/all | sort | diff - <(sort /tmp/shown) && echo lines
      # A reboot may be over before anybody sees that the machine is gone.
      awk '!seen[$0]++' /tmp/f.err.short`;
      expect(await run(script)).toBe(
        [
          "entries 1\nlines\nShowing the journal inside machine 'deb1'",
          "Machine 'deb1' does not run; waiting until it is started",
          "Machine 'deb1' was started",
        ].join("\n"),
      );
    },
    GUARD_MS,
  );

  test(
    "its child processes end with it, also when it is killed, and when its reader closes the pipe",
    async () => {
      const readers = "readers() { pgrep -fc '[j]ournalctl.*--follow' || true; }; none() { [ $(readers) = 0 ]; }";
      expect(
        await run(`${readers}; wait_for none
        machinectl logs -f deb1 >/tmp/g.out 2>&1 & pid=$!; wait_for test -s /tmp/g.out
        some() { ! none; }; wait_for some; kill -9 $pid; wait $pid 2>/dev/null; wait_for none; echo killed
        rm /tmp/g.out; machinectl logs -f deb1 >/tmp/g.out 2>&1 & pid=$!; wait_for test -s /tmp/g.out; kill $pid; wait $pid; echo $?; wait_for none
        machinectl logs -q -f deb1 | head -n 1 >/dev/null; wait_for none; echo closed`),
      ).toBe("killed\n0\nclosed");
    },
    GUARD_MS,
  );

  test(
    "for a machine without a journal its console is shown, while it runs and after its end, also with another unit name",
    async () => {
      await run(startBusybox("bb"));
      const running = await run("machinectl logs bb -o cat -g '^hello'");
      expect(running).toBe(
        "Showing the console of machine 'bb': unit 'bb.service' in the journal of this host\nhello from bb",
      );
      expect(await run("machinectl logs bb -u some.service; echo $?")).toMatch(
        /^--unit= selects units inside a machine/m,
      );
      await run("machinectl terminate bb; while machinectl show bb >/dev/null 2>&1; do sleep .1; done");
      expect(await run("machinectl logs bb -o cat -g '^hello'")).toBe(
        "Showing the console of machine 'bb', which does not run: unit 'bb.service' in the journal of this host\nhello from bb",
      );
    },
    GUARD_MS,
  );

  test(
    "of a machine that shares the files of the host, its unit's entries are shown, and not the journal of the host",
    async () => {
      expect(
        await run(`logger -t host-mark hello
        systemd-run -q --collect --unit=program machinectl register program -- sh -c 'echo hello from program; exec sleep 100000'
        wait_for machinectl show program >/dev/null 2>&1; wait_for sh -c "journalctl -q -u program | grep -q 'hello from'"
        machinectl logs program -o cat -g '^hello'; systemctl stop program`),
      ).toBe(
        "Showing the console of machine 'program': unit 'program.service' in the journal of this host\nhello from program",
      );
    },
    GUARD_MS,
  );

  test(
    "users get what journalctl shows them of the host's journal, or a line with the reason why not",
    async () => {
      const as = (groups: string) => `setpriv --reuid=65534 --regid=65534 ${groups} machinectl logs deb1 -n 1`;
      expect(await run(`${as("--clear-groups")}; echo $?`)).toMatch(
        /^There is no log of machine 'deb1': only root can read the journal inside it, .*\n1$/,
      );
      const group = "--groups=$(getent group systemd-journal | cut -d: -f3)";
      expect(await run(`${as(group)} -q -o json | grep -c systemd-nspawn@deb1.service`)).toBe("1");
    },
    GUARD_MS,
  );

  test(
    "text of a machine cannot control the terminal",
    async () => {
      const script = `machinectl exec deb1 mv /usr/bin/journalctl /usr/bin/journalctl.real
      printf '#!/bin/sh\\nprintf "a\\\\033]0;title\\\\007b\\\\n"\\n' > /tmp/fake; chmod 755 /tmp/fake
      machinectl copy-to deb1 /tmp/fake /usr/bin/journalctl; machinectl logs -q deb1; machinectl logs -q deb1 | od -c | grep -c 033
      machinectl exec deb1 mv /usr/bin/journalctl.real /usr/bin/journalctl`;
      expect(await run(script)).toBe("a\\x1b]0;title\\x07b\n0");
    },
    GUARD_MS,
  );

  describe("a machine that has ended", () => {
    const TREE = "/var/lib/machines/deb1";
    const LEFT = `Showing the journal in image '${TREE}'; machine 'deb1' does not run`;

    beforeAll(async () => {
      await run("machinectl poweroff deb1; while systemctl is-active -q systemd-nspawn@deb1; do sleep .1; done");
    }, GUARD_MS);

    test(
      "is shown from the journal in the tree of its image",
      async () => {
        expect(await run("machinectl logs deb1 -g 'mark-.*-life' -o cat")).toBe(
          `${LEFT}\nmark-first-life\nmark-second-life\nmark-third-life`,
        );
        expect(await run("machinectl logs deb1 -q -n 1 -u dbus.service -o json | grep -c dbus.service")).toBe("1");
      },
      GUARD_MS,
    );

    test(
      "is read as nobody, with CAP_DAC_READ_SEARCH as the only capability, without network",
      async () => {
        const script = `mkdir -p /tmp/path; cat > /tmp/path/journalctl <<'END'
#!/bin/bash
grep -E '^(Uid|Gid|Groups|CapEff|CapBnd|CapPrm|NoNewPrivs):' /proc/self/status | tr -s '\\t ' ' '
ls /sys/class/net /proc/self/fd >/dev/null; cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' '
echo "$*" | grep -o -- '--file=/proc/self/fd/3/[0-9a-f]*/system.journal' | cut -d/ -f1-4
END
        chmod 755 /tmp/path/journalctl; PATH=/tmp/path:$PATH machinectl logs deb1 -q`;
        expect((await run(script)).split("\n")).toEqual([
          "Uid: 65534 65534 65534 65534",
          "Gid: 65534 65534 65534 65534",
          "Groups: ",
          "CapPrm: 0000000000000004",
          "CapEff: 0000000000000004",
          "CapBnd: 0000000000000004",
          "NoNewPrivs: 1",
          "lo",
          "--file=/proc/self/fd",
        ]);
      },
      GUARD_MS,
    );

    test(
      "cannot make the client read journals of the host by links or by the host's machine id",
      async () => {
        const script = `mv ${TREE}/var/log/journal /root/kept
        mkdir -p ${TREE}/var/log/journal/x; ln -s $(find -P /var/log/journal /run/log/journal -name system.journal | head -1) ${TREE}/var/log/journal/x/evil.journal
        ln -s $(dirname $(find -P /var/log/journal /run/log/journal -name system.journal | head -1)) ${TREE}/var/log/journal/y
        machinectl logs deb1 -n 1 2>&1 >/dev/null; rm -r ${TREE}/var/log/journal; ln -s /root/kept ${TREE}/var/log/journal
        machinectl logs deb1 -n 1 2>&1 >/dev/null; rm ${TREE}/var/log/journal
        cp -p ${TREE}/etc/machine-id /root/id; cp /etc/machine-id ${TREE}/etc/machine-id
        own=/var/log/journal/$(cat /etc/machine-id); [ -e $own ] || { mkdir -p \${own%/*}; cp -r /run/\${own#/var/} $own; made=$own; }
        machinectl logs deb1 -n 1 2>&1 >/dev/null; cp -p /root/id ${TREE}/etc/machine-id; [ -z "$made" ] || rm -r $made`;
        const console =
          "Showing the console of machine 'deb1', which does not run: unit 'systemd-nspawn@deb1.service' in the journal of this host";
        expect(await run(script)).toBe(`${console}\n${console}\n${console}`);
      },
      GUARD_MS,
    );

    test(
      "is shown from the journal that systemd-nspawn kept on the host",
      async () => {
        const script = `id=$(cat ${TREE}/etc/machine-id); rm -f /var/log/journal/$id; mkdir -p /var/log/journal
        cp -r /root/kept/$id /var/log/journal/$id
        machinectl logs deb1 -g mark-third-life -o cat 2>&1 | sed "s/$id/ID/"; rm -r /var/log/journal/$id`;
        expect(await run(script)).toBe(
          "Showing the journal in /var/log/journal/ID; machine 'deb1' does not run\nmark-third-life",
        );
      },
      GUARD_MS,
    );

    test(
      "is followed when it starts again",
      async () => {
        const script = `mv /root/kept ${TREE}/var/log/journal; machinectl logs -f deb1 -o cat >/tmp/h.out 2>/tmp/h.err & pid=$!
        waits() { grep -qs 'waiting until it is started' /tmp/h.err; }; wait_for waits
        systemctl start systemd-nspawn@deb1.service; wait_for booted; machinectl exec deb1 logger mark-fourth-life
        seen() { grep -q mark-fourth-life /tmp/h.out; }; wait_for seen; kill $pid; wait $pid; cat /tmp/h.err`;
        expect((await run(script)).split("\n")).toEqual([
          LEFT,
          "Machine 'deb1' does not run; waiting until it is started",
          "Machine 'deb1' was started",
          INSIDE,
        ]);
      },
      GUARD_MS,
    );
  });
});
