// io.machined.Exec: commands in machines, for callers that are not root. An interface of this program's own.
import { defineVarlinkInterface } from "./varlink-table.ts";

export const IoMachinedExec = defineVarlinkInterface({
  name: "io.machined.Exec",
  doc: "Runs commands in machines.",
  types: {},
  methods: {
    Run: {
      in: {
        id: "?string",
        machine: "string",
        user: "?string",
        command: "[]string",
        environment: "?[]string",
        directory: "?string",
        timeoutUSec: "?int",
        terminal: "?bool",
        rows: "?int",
        columns: "?int",
        detach: "?bool",
        verbose: "?bool",
        allowInteractiveAuthentication: "?bool",
      },
      out: { exitStatus: "int", message: "?string" },
      descriptors: 3,
      access: {
        action: "org.freedesktop.machine1.shell",
        hostAction: "org.freedesktop.machine1.host-shell",
        subject: "machine",
        details: ["user", "program"],
        owner: true,
      },
      doc: "Runs a command with the three descriptors of the call as its standard input, output and error; answers when it has ended. A caller that closes the connection hangs up: the command gets SIGHUP.",
    },
    Signal: {
      in: { id: "string", signal: "int" },
      out: {},
      access: "everyone",
      doc: "Sends a signal to a command of the same user.",
    },
  },
  notes: {
    fields: {
      id: "A word of the caller's own choice by which the command is known to Signal.",
      machine: "The name of the machine.",
      user: "A user of the machine by name or number; root, or the leader's user where root is not mapped, unless given.",
      command: "The program, which is searched in the machine's PATH, and its arguments.",
      environment: "Assignments on top of a clean environment.",
      directory: "The working directory; the user's home unless given.",
      timeoutUSec: "Microseconds after which the command is ended.",
      terminal:
        "The first descriptor becomes the controlling terminal of the command. Where it is the only one it is a stream socket, through which the master of a new terminal of the machine comes, with one byte.",
      rows: "The height that a new terminal has from the start, in lines; it counts together with the width only.",
      columns: "The width that a new terminal has from the start, in characters.",
      detach: "The command is left running, and its process and cgroup are written to the second descriptor.",
      verbose: "What the command does not take over from the leader is written to the third descriptor.",
      allowInteractiveAuthentication: "A person may be asked.",
      exitStatus:
        "That of the command, 128 and the signal's number, 124 timed out, 125 not run, 126 not executable, 127 not found.",
      message: "Why the command was not run.",
      signal: "The number of the signal.",
    },
    errors: {},
  },
  errors: {},
});
