// Keeps the links of `machinectl enable` (machines.target.wants) in step with images that are renamed or removed.
// Otherwise a host would start the wrong image at its next boot, or fail to start a missing one.
import { errnoNameOf } from "../../base/error.ts";
import { isUnitName } from "../../base/names.ts";
import type { Log, UnitFiles } from "../../registry/ports.ts";

/** The units that run images: containers and virtual machines. */
const RUNNERS = ["nspawn", "vmspawn"] as const;
const TARGET = "machines.target";

type Runner = (typeof RUNNERS)[number];

function unitOf(runner: Runner, image: string): string {
  return `systemd-${runner}@${image}.service`;
}

export class Enablement {
  readonly #files: UnitFiles | null;
  readonly #log: Log;

  /** `files`: null without a service manager; then nothing is started at boot. */
  constructor(files: UnitFiles | null, log: Log) {
    this.#files = files;
    this.#log = log;
  }

  /** The image was renamed: enables the unit of the new name in place of the old one. */
  moved(from: string, to: string): Promise<void> {
    return this.#forEach(from, async (files, runner) => {
      const [old, unit] = [unitOf(runner, from), unitOf(runner, to)];
      await files.enable([TARGET, unit]);
      await files.disable([old]);
      this.#log.info(`Image '${from}' is '${to}' now: ${unit} is enabled in place of ${old}.`);
    });
  }

  /** The image was removed: disables its unit. */
  dropped(image: string): Promise<void> {
    return this.#forEach(image, async (files, runner) => {
      await files.disable([unitOf(runner, image)]);
      this.#log.info(`Image '${image}' is removed: ${unitOf(runner, image)} is disabled.`);
    });
  }

  /** Failures are logged and not returned to the caller: the image has been changed already. */
  async #forEach(image: string, act: (files: UnitFiles, runner: Runner) => Promise<void>): Promise<void> {
    const files = this.#files;
    if (files === null) return;
    let hasChanged = false;
    for (const runner of RUNNERS) {
      // No unit can run an image with a blank or a letter beyond ASCII in its name.
      if (!isUnitName(unitOf(runner, image))) continue;
      try {
        if (!(await files.isEnabled(unitOf(runner, image)))) continue;
        await act(files, runner);
        hasChanged = true;
      } catch (error) {
        if (errnoNameOf(error) === null) throw error;
        const unit = unitOf(runner, image);
        this.#log.warning(`Cannot change whether ${unit} is started at boot: ${(error as Error).message}`);
      }
    }
    if (hasChanged) await files.reload().catch((error: Error) => this.#log.warning(`Cannot reload: ${error.message}`));
  }
}
