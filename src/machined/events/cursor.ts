// Cursors: the position of an event in the log, as readers keep it: the log, the daemon that wrote it, the event's
// number. A killed daemon may have sent events that it had not written yet. The next daemon continues after the last
// written number, but in an epoch of its own, so that no cursor means two events.

export interface Place {
  readonly log: string;
  readonly epoch: number;
  readonly sequence: number;
}

const CURSOR = /^([0-9a-f]{16})-([0-9a-f]{1,12})-([0-9a-f]{1,13})$/;

/** `LOG-EPOCH-SEQUENCE`, in hexadecimal. */
export function formatCursor({ log, epoch, sequence }: Place): string {
  return `${log}-${epoch.toString(16)}-${sequence.toString(16)}`;
}

/** Returns null for any other text. */
export function parseCursor(text: string): Place | null {
  const [, log, epoch, sequence] = CURSOR.exec(text) ?? [];
  if (log === undefined) return null;
  return { log, epoch: Number.parseInt(epoch ?? "", 16), sequence: Number.parseInt(sequence ?? "", 16) };
}
