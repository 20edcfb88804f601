// Options of ssh(1) for -H. With one host the user watches, and the configuration of ssh decides. With several hosts
// each has to end by itself, because the others wait for it.

/** Where ssh(1) connects to. */
interface SshHost {
  readonly host: string;
  readonly port?: string;
  /** Whether this is one of several hosts. */
  readonly batch?: boolean;
}

/** Returns the program to call in place of ssh(1). */
export function sshProgram(): string {
  return process.env["SYSTEMD_SSH"] || "ssh";
}

/** One of several hosts asks nobody, and is given up a minute after it has stopped answering. */
const BATCH_OPTIONS = ["BatchMode=yes", "ServerAliveInterval=15", "ServerAliveCountMax=4"].flatMap((one) => [
  "-o",
  one,
]);

/** Returns the options of ssh(1) for a host, and the host. */
export async function sshDestination({ host, port, batch }: SshHost): Promise<string[]> {
  const place = [...(port === undefined ? [] : ["-p", port]), "--", host];
  if (batch !== true) return place;
  return [...BATCH_OPTIONS, ...(await connectTimeout(place)), ...place];
}

/**
 * The time for a connection where the configuration has none: without one, ssh(1) waits forever for the first line of a
 * server that accepts connections and is silent.
 */
const CONNECT_SECONDS = 20;
/** How long ssh(1) may take to read its configuration, which can run programs. */
const CONFIGURATION_MS = 5000;
const CONFIGURATION_BYTES = 1 << 20;

/**
 * Returns the option for the time that a connection may take, none where the user's configuration has a time: an option
 * on the command line would override that, so that ssh(1) is asked for it (`-G`).
 */
async function connectTimeout(place: readonly string[]): Promise<string[]> {
  return /^connecttimeout \d+$/im.test(await configuration(place)) ? [] : ["-o", `ConnectTimeout=${CONNECT_SECONDS}`];
}

/** Returns what ssh(1) prints of its configuration for a host; nothing where it cannot. */
async function configuration(place: readonly string[]): Promise<string> {
  try {
    const child = Bun.spawn([sshProgram(), "-G", ...place], {
      stdio: ["ignore", "pipe", "ignore"],
      env: process.env,
      timeout: CONFIGURATION_MS,
      killSignal: "SIGKILL",
      maxBuffer: CONFIGURATION_BYTES,
    });
    const [text, status] = await Promise.all([child.stdout.text(), child.exited]);
    return status === 0 ? text : "";
  } catch {
    return ""; // not installed: the call itself fails, and says so
  }
}
