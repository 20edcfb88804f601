// Texts about the program for both package formats.

export const SUMMARY = "registry of containers and virtual machines, and transfers of images";

/** The description, one string without line breaks for each paragraph. */
export const DESCRIPTION: readonly string[] = [
  "One executable that is systemd-machined, machinectl, systemd-importd and importctl, with the interfaces of systemd's own " +
    "programs on D-Bus and Varlink. systemd-nspawn, libvirt, systemctl -M and journalctl -M work with it unchanged.",
  "It replaces the distribution's daemons by links in /etc and /usr/local, which take precedence over their files. Nothing of " +
    "the distribution is overwritten, running machines continue, and removing the package restores the previous state.",
];

/** Returns the oldest version of the GNU C Library that an executable can run with, from the output of `objdump -p`. */
export function requiredGlibc(objdump: string): string {
  const versions = [...objdump.matchAll(/\bGLIBC_(\d+)\.(\d+)/g)].map(
    ([, major, minor]) => [Number(major), Number(minor)] as const,
  );
  if (versions.length === 0) throw new Error("The executable names no version of the GNU C Library");
  const [major, minor] = versions.reduce((most, one) =>
    one[0] > most[0] || (one[0] === most[0] && one[1] > most[1]) ? one : most,
  );
  return `${major}.${minor}`;
}

/** Breaks a text into lines of at most `width` columns. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
