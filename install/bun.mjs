// Runs a script of this project with the Bun of package-lock.json, on a machine that has only Node and npm:
//   node install/bun.mjs SCRIPT [ARGUMENT…]
// The executable in Bun's platform package is called directly, because install scripts, which would put it in its usual
// place, are disabled on many machines.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { isatty } from "node:tty";
import { fileURLToPath } from "node:url";

const top = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * Returns the path of the Bun executable in node_modules; null if it is not installed or does not run on this machine.
 */
function findBun() {
  const cpu = process.arch === "arm64" ? "aarch64" : "x64";
  for (const kind of [cpu, `${cpu}-musl`, `${cpu}-baseline`, `${cpu}-musl-baseline`]) {
    const file = join(top, "node_modules/@oven", `bun-linux-${kind}`, "bin/bun");
    if (existsSync(file) && spawnSync(file, ["--version"]).status === 0) return file;
  }
  // The install script of the package "bun", where it runs, moves the executable.
  const moved = join(top, "node_modules/bun/bin/bun.exe");
  return existsSync(moved) && spawnSync(moved, ["--version"]).status === 0 ? moved : null;
}

/** Whether all npm packages are installed, in the versions that package-lock.json pins. */
function complete() {
  const { packages } = read("package-lock.json");
  // Optional ones are for other machines, too.
  const wanted = Object.keys(packages).filter((path) => path.startsWith("node_modules/") && !packages[path].optional);
  return wanted.every((path) => {
    const { link, resolved, version } = packages[path];
    if (!existsSync(join(top, path, "package.json"))) return false;
    return read(path, "package.json").version === (link ? packages[resolved].version : version);
  });
}

function read(...path) {
  return JSON.parse(readFileSync(join(top, ...path), "utf8"));
}

if (!complete() || findBun() === null) {
  // No package of this project needs its install script.
  console.error("Installing the npm packages that package-lock.json pins …");
  const npm = spawnSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], {
    cwd: top,
    stdio: ["ignore", 2, 2],
  });
  if (npm.error?.code === "ENOENT") {
    console.error("There is no npm (Debian: the package npm). It installs what this project is built with.");
    process.exit(1);
  }
  if (npm.status !== 0) {
    console.error("npm could not install the packages (see above). Is the npm registry reachable?");
    process.exit(1);
  }
}
const bun = findBun();
if (bun === null) {
  console.error(
    `No Bun for ${process.platform}-${process.arch} in node_modules/@oven: this needs Linux on x64 or arm64.`,
  );
  process.exit(1);
}
const [script, ...rest] = process.argv.slice(2);
if (script === undefined) {
  console.error("usage: node install/bun.mjs SCRIPT [ARGUMENT…]\n       node install/bun.mjs test FILE…");
  process.exit(2);
}
// "test" is a command of Bun; everything else is a script of this project.
const command = script === "test" ? ["test"] : [join(top, script)];
const run = spawn(bun, [...command, ...rest], { stdio: "inherit" });
const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
for (const signal of signals) {
  process.on(signal, () => {
    // A terminal sends SIGINT to the script as well.
    if (signal !== "SIGINT" || !isatty(0)) run.kill(signal);
  });
}
run.on("error", (error) => {
  console.error(`Bun could not be started: ${error.message}`);
  process.exit(1);
});
run.on("exit", (code, signal) => {
  if (signal === null) process.exit(code);
  for (const name of signals) process.removeAllListeners(name);
  process.kill(process.pid, signal);
});
