// The cause that messages name when a child was ended by a signal that its parent did not send.

/** Returns the name of the signal; for SIGKILL also its probable sender. */
export function causeOf(signal: string | number): string {
  return signal === "SIGKILL"
    ? "SIGKILL; the kernel sends it when memory runs out, and says so in its log ('journalctl -k')"
    : String(signal);
}
