// The release that is tested, which test/run.ts has made.
import { join } from "node:path";
import { TOP } from "./run-tests.ts";

/** The directory with its files. */
export const releaseFolder = process.env["MACHINED_DIST"] ?? join(TOP, "dist/release");
