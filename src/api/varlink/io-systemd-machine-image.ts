// io.systemd.MachineImage as of 262: images over Varlink.
import type { PolkitRule } from "../access.ts";
import { defineVarlinkInterface } from "../varlink-table.ts";

const ASKING = { allowInteractiveAuthentication: "?bool" } as const;

const MANAGE = "org.freedesktop.machine1.manage-images";

function manage(verb: string, ...details: string[]): PolkitRule {
  return { action: MANAGE, subject: "image", verb, details };
}

export const IoSystemdMachineImage = defineVarlinkInterface({
  name: "io.systemd.MachineImage",
  doc: "The images of machines on this host.",
  types: {
    AcquireMetadata: ["no", "yes", "graceful"],
    CleanPoolMode: ["all", "hidden"],
  },
  methods: {
    List: {
      in: { name: "?string", acquireMetadata: "?AcquireMetadata", ...ASKING },
      out: {
        name: "string",
        path: "?string",
        type: "string",
        class: "string",
        readOnly: "bool",
        creationTimestamp: "?int",
        modificationTimestamp: "?int",
        usage: "?int",
        usageExclusive: "?int",
        limit: "?int",
        limitExclusive: "?int",
        hostname: "?string",
        machineId: "?string",
        machineInfo: "?[]string",
        OSRelease: "?[]string",
      },
      more: "supported",
      access: {
        action: "org.freedesktop.machine1.inspect-images",
        subject: "image",
        when: 'acquireMetadata is given and is not "no"',
      },
      doc: "Describes an image, or all of them.",
    },
    Update: {
      in: { name: "string", ...ASKING, newName: "?string", readOnly: "?bool", limit: "?int" },
      out: {},
      access: manage("update"),
      doc: "Renames an image, sets or clears its read-only mark, or sets its limit.",
    },
    Clone: {
      in: { name: "string", ...ASKING, newName: "string", readOnly: "?bool" },
      out: {},
      access: manage("clone", "new_name"),
      doc: "Clones an image.",
    },
    Remove: { in: { name: "string", ...ASKING }, out: {}, access: manage("remove"), doc: "Removes an image." },
    SetPoolLimit: {
      in: { ...ASKING, limit: "int" },
      out: {},
      access: { action: MANAGE, verb: "set_pool_limit" },
      doc: "Limits the space of all images together.",
    },
    CleanPool: {
      in: { ...ASKING, mode: "CleanPoolMode" },
      out: { name: "string", usageExclusive: "?int" },
      more: "required",
      access: { action: MANAGE, verb: "clean_pool", details: ["mode"] },
      doc: "Removes hidden or all images; replies with each that was removed.",
    },
  },
  notes: {
    types: {
      AcquireMetadata: "Whether a description includes what must be read from inside the image.",
      CleanPoolMode: "Which images are removed.",
    },
    fields: {
      no: "Nothing is looked up.",
      yes: "All of it, and a failure is an error.",
      graceful: "As much of it as can be read; failures are ignored.",
      all: "All of them.",
      hidden: "Those whose names begin with a dot.",
      name: "The name of the image.",
      acquireMetadata: "Whether hostname, machineId, machineInfo and OSRelease are looked up.",
      path: "Where the image is.",
      type: "How the image is stored: directory, subvolume, raw, block or mstack.",
      class: "What the image is for.",
      readOnly: "Whether the image may not be changed.",
      creationTimestamp: "When the image was made, in microseconds since 1970.",
      modificationTimestamp: "When the image was changed last, in microseconds since 1970.",
      usage: "The disk space of the image in bytes.",
      usageExclusive: "The part of it that is shared with no other image, in bytes.",
      "CleanPool.usageExclusive": "The space that its removal freed, in bytes.",
      limit: "The limit of usage, in bytes.",
      limitExclusive: "The limit of usageExclusive, in bytes.",
      hostname: "The host name in the image.",
      machineId: "The machine ID in the image.",
      machineInfo: "The lines of the image's machine-info file, as KEY=VALUE.",
      OSRelease: "The lines of the image's os-release file, as KEY=VALUE.",
      newName: "The new name.",
      "SetPoolLimit.limit": "The limit of all images together, in bytes.",
      mode: "Which images are removed.",
      allowInteractiveAuthentication: "Whether the user may be asked for a password; not unless it is true.",
    },
    errors: {
      NoSuchImage: "There is no such image, or there are no images.",
      TooManyOperations: "The limit of concurrent operations is reached: try again later.",
      NotSupported: "An image of this type, or its file system, cannot do that.",
    },
  },
  errors: { NoSuchImage: {}, TooManyOperations: {}, NotSupported: {} },
});
