// io.machined.Exec: commands in machines, for callers that are not root. Not part of systemd.
import { defineVarlinkInterface } from "../varlink-table.ts";

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
      // The process that forwards the terminal also sets its size, when it has received the master.
      hints: ["rows", "columns"],
      access: {
        action: "org.freedesktop.machine1.shell",
        hostAction: "org.freedesktop.machine1.host-shell",
        subject: "machine",
        details: ["user", "program"],
        owner: true,
      },
      doc: "Runs a command with the three descriptors of the call as its standard input, output and error, and replies when it has ended. When the caller closes the connection, the command gets SIGHUP.",
    },
    Signal: {
      in: { id: "string", signal: "int" },
      out: {},
      access: "everyone",
      doc: "Sends a signal to a command that the same user started with Run.",
    },
  },
  notes: {
    fields: {
      id: "An identifier that the caller chooses; Signal takes it.",
      machine: "The name of the machine.",
      user: "A user of the machine by name or number; root, or the leader's user where root is not mapped, unless given.",
      command: "The program, searched in the PATH of the machine, and its arguments.",
      environment: "Variables as NAME=VALUE, added to a clean environment.",
      directory: "The working directory; the user's home unless given.",
      timeoutUSec: "Microseconds after which the command is ended.",
      terminal:
        "The first descriptor becomes the controlling terminal of the command. Where it is the only descriptor, it must be a stream socket: a new terminal is opened in the machine, and its master is sent through the socket, with one byte.",
      rows: "The initial height of a new terminal, in lines; ignored without columns.",
      columns: "The initial width of a new terminal, in characters; ignored without rows.",
      detach:
        "Run replies at once and the command continues; its process id and control group are written to the second descriptor.",
      verbose: "Properties of the leader that the command does not inherit are listed on the third descriptor.",
      allowInteractiveAuthentication: "Whether the user may be asked for a password; not unless it is true.",
      exitStatus:
        "The exit status of the command; 128 plus the number of the signal that ended it; 124: timed out; 125: could not be started; 126: not executable; 127: not found.",
      message: "Why the command was not run.",
      signal: "The number of the signal.",
    },
    errors: {},
  },
  errors: {},
});
