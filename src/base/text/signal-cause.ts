// What a program says of the end of a child by a signal that it did not send.

/** Returns the name of such a signal, with its probable sender. */
export function causeOf(signal: string | number): string {
  return signal === "SIGKILL"
    ? "SIGKILL; the kernel sends it when memory runs out, and says so in its log ('journalctl -k')"
    : String(signal);
}
