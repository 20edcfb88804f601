// The targets of a release, with their names in each package format.

/** A processor and a C library. */
export interface ReleaseTarget {
  /** The name in file names: `machined-VERSION-linux-NAME`. */
  readonly name: string;
  readonly cpu: "x64" | "arm64";
  readonly libc: "glibc" | "musl";
  readonly bunTarget: string;
  /** The npm package with Bun for it. */
  readonly bunPackage: string;
  /** Debian's name of the architecture. */
  readonly debian: "amd64" | "arm64";
  /** GCC's and RPM's name of the processor. */
  readonly gnu: "x86_64" | "aarch64";
}

export const TARGETS: readonly ReleaseTarget[] = [
  target("x64", "glibc", "bun-linux-x64", "@oven/bun-linux-x64"),
  target("arm64", "glibc", "bun-linux-arm64", "@oven/bun-linux-aarch64"),
  target("x64", "musl", "bun-linux-x64-musl", "@oven/bun-linux-x64-musl"),
  target("arm64", "musl", "bun-linux-arm64-musl", "@oven/bun-linux-aarch64-musl"),
];

/** The targets for which there are deb and rpm packages. */
export const PACKAGED_TARGETS = TARGETS.filter(({ libc }) => libc === "glibc");

function target(
  cpu: ReleaseTarget["cpu"],
  libc: ReleaseTarget["libc"],
  bunTarget: string,
  bunPackage: string,
): ReleaseTarget {
  const name = libc === "glibc" ? cpu : `${cpu}-musl`;
  const [debian, gnu] = cpu === "x64" ? (["amd64", "x86_64"] as const) : (["arm64", "aarch64"] as const);
  return { name, cpu, libc, bunTarget, bunPackage, debian, gnu };
}
