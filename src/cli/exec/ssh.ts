// Runs commands over ssh(1), in virtual machines and on other hosts, and copies files to virtual machines by scp(1).
// OpenSSH handles keys, passwords and the standard streams.

import { shellQuoted } from "../../base/text/shell-quoted.ts";
import { ChildErrors } from "../../ipc/bus/child-errors.ts";
import { sshDestination } from "../../ipc/bus/ssh-options.ts";
import { programPath } from "../../kernel/process/program-path.ts";
import { readLines } from "../local/read-text.ts";
import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { remoteHost } from "../session/target.ts";
import { EXIT_OURS, type ExecOrder, SSH_FAILED, sameExec } from "./order.ts";

const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** What is at a path; a symbolic link is `other`. */
export type PathKind = "missing" | "directory" | "other";

/** Exit statuses of the script that looks for a file; neither ssh nor a shell returns them for other reasons. */
const KINDS: Readonly<Record<PathKind, number>> = { missing: 80, directory: 81, other: 82 };

/** The ssh address of a virtual machine. */
export interface SshAddress {
  /** `vsock/CID`, a name or an address. */
  readonly host: string;
  /** The path of the private key that the machine was registered with; "" for none. */
  readonly key: string;
}

function identity({ key }: SshAddress): string[] {
  return key === "" ? [] : ["-i", key];
}

/**
 * Returns the command line of systemd-run(1) for the order; null for --detach and --timeout=, which it cannot do. The
 * service manager replaces variables in the arguments, and `$$` by `$` (systemd.service(5), "Command lines").
 */
function systemdRunWords({ settings }: Session, { machine, user, command }: ExecOrder): string[] | null {
  if (settings.detach || settings.timeoutMs > 0) return null;
  const [program = "", ...args] = command;
  return [
    ...["systemd-run", "--quiet", "--wait", "--collect", settings.tty ? "--pty" : "--pipe"],
    ...[`--machine=${machine}`, `--uid=${user || "root"}`],
    ...(settings.directory === null ? [] : [`--working-directory=${settings.directory}`]),
    ...settings.environment.map((assignment) => `--setenv=${assignment}`),
    ...["--", program, ...args.map((word) => word.replaceAll("$", () => "$$"))],
  ];
}

/**
 * Returns a script for the other host: it runs `machinectl exec` if the host's machinectl has that verb, else
 * systemd-run(1), which every host with systemd has. Exported for its test.
 */
export function remoteScript(session: Session, order: ExecOrder): string {
  const { machine, user, command } = order;
  const place = user === "" ? machine : `${user}@${machine}`;
  const ours = ["machinectl", "exec", ...sameExec(session), "--", place, ...command];
  const stock = systemdRunWords(session, order);
  const otherwise =
    stock === null
      ? `echo ${shellQuoted("The machinectl of this host has no verb 'exec', which --timeout= and --detach need")} >&2; exit ${EXIT_OURS}`
      : `exec ${stock.map(shellQuoted).join(" ")}`;
  const knows = "machinectl --help 2>/dev/null | grep -q '^  exec '";
  return `if ${knows}; then exec ${ours.map(shellQuoted).join(" ")}; fi; ${otherwise}`;
}

/** What ssh(1) reads and writes. */
interface Streams {
  /** Whether it has the standard input of this client. */
  readonly readsInput: boolean;
  /**
   * `data`: what a command of the user writes, unchanged. `text`: what the other end writes by itself; on a terminal,
   * control characters are escaped.
   */
  readonly output: "data" | "text";
}

/** Those of a command of the user. */
function commandStreams({ settings }: Session): Streams {
  return { readsInput: settings.stdin, output: "data" };
}

/** Those of a program that the user did not name, which reads nothing. */
const SILENT: Streams = { readsInput: false, output: "text" };

/** Runs ssh(1); returns its exit status. `args` are options and destination. */
async function ssh(
  { settings, ports, output }: Session,
  args: readonly string[],
  command: string,
  streams: Streams,
): Promise<number> {
  const program = installed(ports.env["SYSTEMD_SSH"] || "ssh");
  const isText = streams.output === "text";
  const errors = isText ? new ChildErrors() : null;
  const child = Bun.spawn([program, settings.tty ? "-t" : "-T", ...args, command], {
    stdio: [
      streams.readsInput ? "inherit" : "ignore",
      isText && ports.isTty(1) ? "pipe" : "inherit",
      errors?.stderr ?? "inherit",
    ],
    env: process.env,
  });
  errors?.follow();
  for (const signal of FORWARDED) process.on(signal, () => child.kill(signal));
  if (child.stdout !== undefined) await readLines(child.stdout, (text) => output.write(text));
  const status = await child.exited;
  await errors?.finish();
  return status;
}

/** Returns the options and the destination of ssh(1) for -H. Throws a Failure if -H names a machine on that host. */
async function destination({ settings: { transport, batch } }: Session, verb: string): Promise<string[]> {
  if (transport.kind !== "remote") throw new TypeError("no other host");
  const target = remoteHost(transport.host);
  if (target.kind !== "ssh" || target.machine !== undefined) {
    throw new Failure(`${verb} needs a host after -H, not '${transport.host}'`);
  }
  return sshDestination({ ...target, batch });
}

/** A verb that the original client does not have. */
interface OwnVerb {
  readonly program: string;
  readonly verb: string;
}

/** A script for the other host: runs the client if it has the verb, else prints an error. Exported for its test. */
export function clientScript({ program, verb }: OwnVerb, command: readonly string[]): string {
  const missing = `The ${program} of this host has no ${verb}, or there is none: 'machined install' puts one there that has it`;
  const knows = `${program} --help 2>/dev/null | grep -q '^  ${verb} '`;
  return `if ${knows}; then exec ${command.map(shellQuoted).join(" ")}; fi; echo ${shellQuoted(missing)} >&2; exit 1`;
}

/**
 * Runs a command line of machinectl or importctl on the host that -H names; returns its exit status. `own` names the
 * verb where the original client does not have it; else null.
 */
export async function clientOnHost(session: Session, command: readonly string[], own: OwnVerb | null): Promise<number> {
  const words = own === null ? command : ["sh", "-c", clientScript(own, command)];
  // Verbs of our own read no input: in a loop of a shell, that is the list of hosts.
  const streams = own === null ? commandStreams(session) : SILENT;
  return ssh(session, await destination(session, String(command[0])), words.map(shellQuoted).join(" "), streams);
}

/** Runs the order on the host that -H names; returns the exit status of the command. */
export async function execOnHost(session: Session, order: ExecOrder): Promise<number> {
  // The user's login shell may be any shell, so that it only has to start sh with the script.
  const command = ["sh", "-c", remoteScript(session, order)].map(shellQuoted).join(" ");
  return ssh(session, await destination(session, "exec"), command, commandStreams(session));
}

/** The user's shell as login shell. sshd(8) sets the variable. */
const LOGIN_SHELL = `"\${SHELL:-/bin/sh}" -l`;

/** Returns the script for the shell in a virtual machine. Throws a Failure for --detach. Exported for its test. */
export function guestScript({ settings }: Session, { command }: ExecOrder): string {
  if (settings.detach)
    throw new Failure("--detach is for containers: a command in a virtual machine ends with its ssh connection");
  const options = [
    ...(settings.environment.length === 0 ? [] : ["env", ...settings.environment]),
    ...(settings.timeoutMs > 0 ? ["timeout", String(Math.ceil(settings.timeoutMs / 1000))] : []),
  ];
  // ssh(1) without a command starts the user's shell by itself, but without variables, and not in another directory.
  const isShell = command.length === 0;
  if (isShell && options.length === 0 && settings.directory === null) return "";
  const directory = settings.directory === null ? "" : `cd ${shellQuoted(settings.directory)} && `;
  // timeout(1) makes a process group of its own, in the background of a terminal, unless it leads the session.
  const words = [...(options.length === 0 ? [] : ["exec"]), ...[...options, ...command].map(shellQuoted)];
  return `${directory}${[...words, ...(isShell ? [LOGIN_SHELL] : [])].join(" ")}`;
}

/** Runs the order in a virtual machine; returns the exit status of the command. */
export async function execInVirtualMachine(session: Session, order: ExecOrder, address: SshAddress): Promise<number> {
  return ssh(
    session,
    [...identity(address), "--", `${order.user || "root"}@${address.host}`],
    guestScript(session, order),
    commandStreams(session),
  );
}

/** Whether only ssh(1) itself finds the way to an address: `vsock/CID`, `unix/PATH` (systemd-ssh-proxy(1)). */
export function needsProxy({ host }: SshAddress): boolean {
  return host.includes("/");
}

/** The message of ssh(1) where a server answered and refused the login. */
const ANSWERED = /Permission denied|Host key verification failed|Too many authentication failures|no matching/i;

/** Options for a connection that ends before the login: the server answers, and refuses it. */
const PROBE_OPTIONS = [
  ...["BatchMode=yes", "ConnectTimeout=5", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"],
  ...["PreferredAuthentications=none", "ForwardAgent=no", "ClearAllForwardings=yes", "ControlPath=none"],
  "RemoteCommand=none",
];
/** The limit of ssh(1)'s output, including a banner of the machine. */
const PROBE_OUTPUT_BYTES = 64 << 10;

/** Whether an SSH server answers at the address. */
export async function answersOverProxy(session: Session, { host }: SshAddress, stop: AbortSignal): Promise<boolean> {
  const program = installed(session.ports.env["SYSTEMD_SSH"] || "ssh");
  const words = ["-T", ...PROBE_OPTIONS.flatMap((option) => ["-o", option]), "--", `root@${host}`, "true"];
  const child = Bun.spawn([program, ...words], {
    stdio: ["ignore", "ignore", "pipe"],
    signal: stop,
    maxBuffer: PROBE_OUTPUT_BYTES,
  });
  const [errorText, status] = await Promise.all([child.stderr.text(), child.exited]);
  return child.signalCode === null && (status !== SSH_FAILED || ANSWERED.test(errorText));
}

/**
 * Returns the address in a form for scp(1), which takes a word with a slash before its colon for a local path. For
 * `vsock/CID`, the configuration that systemd installs for ssh accepts `vsock%CID` as well (systemd-ssh-proxy(1)).
 */
function copyAddress({ host, key }: SshAddress): SshAddress {
  const spelled = host.replace(/^(vsock|unix|machine)\//, "$1%");
  if (spelled.includes("/")) throw new Failure(`scp cannot use the address '${host}', because it contains a slash`);
  return { host: spelled, key };
}

/** Returns what is at a path in a virtual machine. Throws a Failure if ssh fails. */
export async function kindInVirtualMachine(session: Session, path: string, address: SshAddress): Promise<PathKind> {
  const quoted = shellQuoted(path);
  const { missing, directory, other } = KINDS;
  const command =
    `if [ -L ${quoted} ]; then exit ${other}; elif [ -d ${quoted} ]; then exit ${directory}; ` +
    `elif [ -e ${quoted} ]; then exit ${other}; else exit ${missing}; fi`;
  // ssh(1) must not read the standard input of this client, which may be the rest of a script.
  const status = await ssh(session, [...identity(address), "--", `root@${address.host}`], command, SILENT);
  const kinds = Object.keys(KINDS) as PathKind[];
  const kind = kinds.find((one) => KINDS[one] === status);
  if (kind === undefined) throw new Failure(`ssh to '${address.host}' failed with exit status ${status}`);
  return kind;
}

/**
 * Copies by scp(1); `remote` says which of the two is the path in the machine. A malicious machine can make scp create
 * neither devices nor links, nor files outside of the requested directory, because SFTP has neither. Throws a Failure.
 */
export async function copyOverSsh(
  session: Session,
  from: string,
  to: string,
  remote: "from" | "to",
  address: SshAddress,
): Promise<void> {
  const program = installed("scp");
  const { host } = copyAddress(address);
  const inMachine = (path: string) => `root@${host.includes(":") ? `[${host}]` : host}:${path}`;
  const ends = [remote === "from" ? inMachine(from) : from, remote === "to" ? inMachine(to) : to];
  const quiet = session.ports.isTty(2) && !session.settings.quiet ? [] : ["-q"];
  const child = Bun.spawn([program, "-r", "-p", ...quiet, ...identity(address), "--", ...ends], {
    stdio: ["inherit", "inherit", "pipe"],
  });
  for (const name of FORWARDED) process.on(name, () => child.kill(name));
  const errorText = await copyErrors(session, child.stderr);
  const status = await child.exited;
  const hint = LACKS_SFTP.test(errorText) ? NO_SFTP : undefined;
  if (status !== 0) throw new Failure(`scp failed with exit status ${status}`, { hint });
}

/** What ssh(1) and the machine's shell say where scp(1) finds no SFTP server. */
const LACKS_SFTP = /sftp-server.*(not found|No such file)|subsystem request failed/i;
const NO_SFTP =
  "The machine's SSH server has no SFTP subsystem: install one in the machine (sftp-server(8)), or pipe the files through 'machinectl exec'.";
/** How many characters of the messages are searched. */
const KEPT_MESSAGES = 4096;

/** Prints the standard error of a program, and returns its last part. */
async function copyErrors(session: Session, stream: ReadableStream<Uint8Array>): Promise<string> {
  let errorText = "";
  await readLines(stream, (text) => {
    // Lines of ssh(1) end with \r\n.
    session.output.writeError(text.replaceAll("\r\n", "\n"));
    errorText = (errorText + text).slice(-KEPT_MESSAGES);
  });
  return errorText;
}

/** Returns the program if it is installed. */
function installed(program: string): string {
  if (programPath(program) !== null) return program;
  throw new Failure(`'${program}' is not installed, but the machine can be reached over ssh only`);
}
