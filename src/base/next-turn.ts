// Work for the next turn of the event loop. It is counted, so that the poller (kernel/event/poller.ts), which waits in
// a system call of its own, does not wait while such work is planned. Lint allows setImmediate() here and there only.

let planned = 0;

/** Calls `work` in the next turn of the event loop; what it throws is an uncaught error. */
export function inNextTurn(work: () => void): void {
  planned++;
  setImmediate(() => {
    planned--;
    work();
  });
}

/** Whether work is planned that did not begin yet. */
export function isWorkPlanned(): boolean {
  return planned > 0;
}
