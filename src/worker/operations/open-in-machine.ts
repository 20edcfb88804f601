// machined-worker open-in-machine: opens or reads a file of a machine for the daemon, which must not wait for a file
// system that a process in the machine may block. Descriptor 4 is the machine's root directory; an opened descriptor is
// returned through the socket 7, a content (base64) with the result.
import { Fd, openInRoot } from "../../kernel/file/fd.ts";
import { forbidInspection } from "../../kernel/process/dumpable.ts";
import { withIdentity } from "../../kernel/process/namespace.ts";
import { sendMessage } from "../../kernel/socket/unix.ts";
import { type OpenFileKind, openAsKind, readBehind } from "../../registry/open-file-kind.ts";
import { type OpenArguments, WORK_FDS } from "../../registry/worker-request.ts";
import { workerOf } from "./run-operation.ts";

export const main = workerOf(([request = "{}"]) => {
  forbidInspection();
  // The daemon's request, which it has checked.
  const { path, want, identity } = JSON.parse(request) as OpenArguments;
  using root = Fd.inherited(WORK_FDS.root);
  if (typeof want === "object") return withIdentity(identity, () => content(root, path, want.limitBytes));
  sendFile(root, path, want, identity);
  return null;
});

function content(root: Fd, path: string, limitBytes: number): string {
  using file = openInRoot(root, path, "path");
  return readBehind(file, limitBytes).toString("base64");
}

function sendFile(root: Fd, path: string, kind: OpenFileKind, identity: OpenArguments["identity"]): void {
  using answer = Fd.inherited(WORK_FDS.answer);
  using file = openInRoot(root, path, "path");
  using opened = openAsKind(file, kind, identity);
  sendMessage(answer, Buffer.of(0), [opened]);
}
