// The options of importctl, one row each, in the order of the help text (importctl(1), "Options"). Those it shares with
// machinectl are machinectl's rows.

import { isImageName } from "../../base/names.ts";
import { COMPRESSIONS } from "../../base/vocabulary/compression.ts";
import { IMAGE_CLASSES, type ImageClass } from "../../base/vocabulary/image-class.ts";
import { VERIFY_MODES } from "../../base/vocabulary/transfer.ts";
import type { OptionRow, OptionTable } from "../command-line/getopt.ts";
import { BOOLEAN_HINT, type OptionContext, oneOf, setJson } from "../command-line/option-values.ts";
import { parseBoolean } from "../format/terminal.ts";
import { Failure } from "../session/failure.ts";
import type { Settings } from "../session/settings.ts";
import { OPTIONS } from "./options.ts";

type Row = OptionRow<Settings, OptionContext>;

/** A row of machinectl's table, with words of its own for it. */
function shared(name: string, description?: string): Record<string, Row> {
  const row = OPTIONS[name];
  if (row === undefined) throw new TypeError(`machinectl has no option --${name}`);
  return { [name]: description === undefined ? row : { ...row, hidden: false, description } };
}

function classFlag(imageClass: ImageClass): Row {
  return {
    type: "boolean",
    description: `Short for --class=${imageClass}`,
    apply: (settings) => {
      settings.imageClass = imageClass;
    },
  };
}

function setClass(settings: Settings, value: string): void {
  const known = IMAGE_CLASSES.parse(value);
  if (known === undefined)
    throw new Failure(`Failed to parse --class= parameter: ${value}`, { hint: oneOf(IMAGE_CLASSES.values) });
  settings.imageClass = known;
}

function setKeepDownload(settings: Settings, value: string): void {
  const keep = parseBoolean(value);
  if (keep === undefined) throw new Failure(`Failed to parse --keep-download= value: ${value}`, { hint: BOOLEAN_HINT });
  settings.keepDownload = keep;
}

export const IMPORTCTL_OPTIONS: OptionTable<Settings, OptionContext> = {
  ...shared("help"),
  ...shared("version"),
  ...shared("no-pager"),
  ...shared("no-legend"),
  ...shared("no-ask-password"),
  ...shared("host"),
  ...shared("machine"),
  ...shared("parallel", "With -H: on how many hosts to work at once"),
  ...shared("system", "Talk to the transfer daemon of the system"),
  ...shared("user", "Talk to the transfer daemon of the calling user"),
  ...shared("read-only", "Make the image read-only"),
  ...shared("quiet"),
  json: {
    ...shared("json", "Print lists as JSON (pretty, short, off)")["json"],
    // As in the original, also --json=off leaves out heading and summary.
    apply: (settings, value, context) => {
      settings.legend = false;
      return setJson(settings, value, context);
    },
  } as Row,
  j: {
    type: "boolean",
    description: "Short for --json=pretty on a terminal, for --json=short elsewhere",
    apply: (settings, _value, { stdoutIsTty }) => {
      settings.json = stdoutIsTty ? "pretty" : "short";
    },
  },
  ...shared("columns"),
  ...shared("sort"),
  ...shared("filter"),
  ...shared("template"),
  ...shared("json-version"),
  ...shared("verify", `How a download is verified (${VERIFY_MODES.values.join(", ")})`),
  ...shared(
    "format",
    `Compression of an export (${COMPRESSIONS.join(", ")}); of layers with push-oci: gzip (the default) or zstd`,
  ),
  base: {
    type: "string",
    valueHint: "IMAGE",
    description: "With push-oci: push two layers, the content of this image and the difference to it",
    apply: (settings, value) => {
      if (!isImageName(value)) throw new Failure(`Image name ${value} is not valid.`);
      settings.base = value;
    },
  },
  ...shared("force", "Replace an image of the same name"),
  class: {
    type: "string",
    valueHint: "TYPE",
    values: IMAGE_CLASSES.values,
    description: `What the images are for (${IMAGE_CLASSES.values.join(", ")})`,
    apply: setClass,
  },
  m: classFlag("machine"),
  P: classFlag("portable"),
  S: classFlag("sysext"),
  C: classFlag("confext"),
  "keep-download": {
    type: "string",
    valueHint: "BOOL",
    values: ["yes", "no"],
    description: "Whether an unchanged copy of a download is kept",
    apply: setKeepDownload,
  },
  N: {
    type: "boolean",
    description: "Short for --keep-download=no",
    apply: (settings) => {
      settings.keepDownload = false;
    },
  },
  ...shared("batch"),
  ...shared("cells"),
  ...shared("introspect-cli"),
};
