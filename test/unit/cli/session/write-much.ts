// Writes four million bytes to stdout as a client does, for output.test.ts; with "nonblocking", sets O_NONBLOCK first.
import { writeSync } from "node:fs";
import { Output } from "../../../../src/cli/session/output.ts";
import { sys } from "../../../../src/kernel/syscall/sys.ts";

const [F_SETFL, O_NONBLOCK] = [4, 0o4000];

if (process.argv[2] === "nonblocking") sys("fcntl", 1, F_SETFL, O_NONBLOCK);
const output = new Output((fd, bytes) => writeSync(fd, bytes));
for (let i = 0; i < 40; i++) output.write("x".repeat(100_000));
process.exit(0);
