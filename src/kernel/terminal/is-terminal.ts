// isatty(3) by the engine, for programs that do not load bun:ffi. It is what node:tty calls; that module, and the
// stream objects of the process, take longer to load than a short command may take.

/** Whether a descriptor of this process leads to a terminal. */
export function isTerminal(fd: number): boolean {
  return (process.binding("tty_wrap") as { isTTY(fd: number): boolean }).isTTY(fd);
}
