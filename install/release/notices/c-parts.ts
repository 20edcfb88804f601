// The libraries of the C compiler in the executable: in the program that enters machines, which is linked statically,
// and in Bun.
import { run } from "../command.ts";
import { compilerOf } from "../programs.ts";
import type { Part } from "./part.ts";

const REMARK =
  "It is in the program that enters machines (src/exec/enter). To run this program with another version of it, see " +
  "'Another version of a library' in docs/release.md.";

/** Returns the libraries; the parameters are the versions of the compiler and of its C library. */
export function cParts(compilerVersion: string, cVersion: string): Part[] {
  return [
    {
      name: "GNU C Library",
      version: cVersion,
      licence: "LGPL-2.1-or-later",
      texts: ["LGPL-2.1"],
      copyright: ["Copyright (C) 1991-2022 Free Software Foundation, Inc. and others"],
      source: "https://sourceware.org/glibc",
      remark: REMARK,
    },
    {
      name: "libgcc and libstdc++",
      version: compilerVersion,
      licence: "GPL-3.0-or-later WITH GCC-exception-3.1",
      texts: ["GPL-3.0"],
      copyright: ["Copyright (C) 1989-2022 Free Software Foundation, Inc."],
      source: "https://gcc.gnu.org",
      remark:
        "The GCC Runtime Library Exception 3.1 allows what is compiled with it to be conveyed under terms of your choice; it " +
        "requires nothing here.",
    },
  ];
}

/** Returns the versions of the compiler for a processor and of its C library. */
export function compilerVersions(gnu: string): { readonly compiler: string; readonly libc: string } {
  const gcc = compilerOf(gnu);
  const macros = run(["sh", "-c", `echo '#include <features.h>' | ${gcc} -E -dM -`]);
  const number = (name: string) => new RegExp(`^#define ${name} (\\d+)$`, "m").exec(macros)?.[1] ?? "?";
  return {
    compiler: run([gcc, "-dumpfullversion"]).trim(),
    libc: `${number("__GLIBC__")}.${number("__GLIBC_MINOR__")}`,
  };
}
