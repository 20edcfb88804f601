// Pulls an image for `run`. Ctrl-C cancels the transfer, because it also ends the run that needs the image.
import { hasImageOfAnyName } from "../image/units.ts";
import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { CANCELLED } from "../transfer/follow.ts";
import { pull } from "../transfer/transfer.ts";
import type { ImageWord } from "./image-word.ts";
import { candidates, readRegistries } from "./short-names.ts";

/**
 * Pulls the image unless it exists locally, as --pull= says. `registries` reads those of short names. Throws a Failure
 * if the image is missing afterwards, or after Ctrl-C.
 */
export async function provideImage(
  session: Session,
  word: ImageWord,
  registries = () => readRegistries(),
): Promise<void> {
  const { settings } = session;
  if (word.kind === "local") return;
  const { pull: when } = settings.run;
  if (when !== "always" && (await hasImageOfAnyName(session, word.name))) return;
  if (when === "never")
    throw new Failure(`Image '${word.remote}' does not exist locally, and --pull=never forbids to pull it`);
  settings.imageClass = "machine";
  settings.force = when === "always";
  const remotes = word.kind === "oci" ? candidates(word.remote, registries) : [word.remote];
  for (const remote of remotes) {
    const status = await pull(session, word.kind, [remote, word.name], "cancel");
    if (status === 0) return;
    if (status === CANCELLED) throw new Failure(`Interrupted while image '${word.remote}' was pulled`);
  }
  throw new Failure(`Image '${word.remote}' was not pulled`);
}
