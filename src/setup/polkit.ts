// Finds the polkit actions of the daemons that a host lacks. polkitd before 124 reads only /usr/share/polkit-1/actions,
// so the policy file is installed there beside the distribution's, with only those actions that the distribution's file
// does not have.

import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { unlessNoFile } from "../base/absence.ts";
import { exists } from "./disk.ts";
import { explain } from "./error.ts";
import type { Host } from "./host.ts";

const DIRECTORIES = [
  "/usr/share/polkit-1/actions",
  "/usr/local/share/polkit-1/actions",
  "/etc/polkit-1/actions",
  "/run/polkit-1/actions",
];

/** Returns the policy text with only the actions that no file except `own` declares; null if all are declared. */
export function missingActions(host: Host, policy: string, own: string): string | null {
  const declared = new Set<string>();
  for (const directory of DIRECTORIES) {
    for (const text of policyTexts(join(host.root, directory), basename(own))) {
      for (const id of actionIds(text)) declared.add(id);
    }
  }
  const wanted = actionIds(policy).filter((id) => !declared.has(id));
  if (wanted.length === 0) return null;
  return policy.replace(ACTION, (block, id: string) => (declared.has(id) ? "" : block)).replace(/\n{3,}/g, "\n\n");
}

const ACTION = /^ *<action id="([^"]+)">[\s\S]*?<\/action>\n/gm;

/** Returns the ids of the actions that a policy file declares. */
export function actionIds(policy: string): string[] {
  const withoutComments = policy.replace(/<!--[\s\S]*?-->/g, "");
  return [...withoutComments.matchAll(/<action\s+id\s*=\s*["']([^"']+)["']/g)].map((match) => match[1] ?? "");
}

function* policyTexts(directory: string, except: string): Generator<string> {
  if (!exists(directory)) return;
  for (const name of readdirSync(directory)) {
    if (name.endsWith(".policy") && name !== except) yield policyText(join(directory, name));
  }
}

/** Returns the text of a policy file; "" for a link to nothing, which declares no actions. Throws a SetupError. */
function policyText(path: string): string {
  try {
    return unlessNoFile(() => readFileSync(path, "utf8"), "");
  } catch (error) {
    throw explain(`read '${path}'`, error);
  }
}
