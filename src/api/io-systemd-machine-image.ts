// io.systemd.MachineImage as of 262: images over Varlink.
import type { PolkitRule } from "./access.ts";
import { defineVarlinkInterface } from "./varlink-table.ts";

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
      doc: "Renames an image, marks it as read-only or not, limits it.",
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
      doc: "Limits what all images may use together.",
    },
    CleanPool: {
      in: { ...ASKING, mode: "CleanPoolMode" },
      out: { name: "string", usageExclusive: "?int" },
      more: "required",
      access: { action: MANAGE, verb: "clean_pool", details: ["mode"] },
      doc: "Removes hidden or all images; says what was removed.",
    },
  },
  notes: {
    types: {
      AcquireMetadata: "Whether a description includes what has to be looked up inside of the image.",
      CleanPoolMode: "Which images are removed.",
    },
    fields: {
      no: "Nothing is looked up.",
      yes: "All of it, and a failure is an error.",
      graceful: "As much of it as can be had.",
      all: "All of them.",
      hidden: "Those whose names begin with a dot.",
      name: "The name of the image.",
      acquireMetadata: "Whether hostname, machineId, machineInfo and OSRelease are looked up.",
      path: "Where the image is.",
      type: "How the image is kept: directory, subvolume, raw, block or mstack.",
      class: "What the image is for.",
      readOnly: "Whether the image may not be changed.",
      creationTimestamp: "When the image was made, in microseconds since 1970.",
      modificationTimestamp: "When the image was changed last, in microseconds since 1970.",
      usage: "How many bytes of the disk the image takes.",
      usageExclusive: "How many of them it shares with nothing else.",
      "CleanPool.usageExclusive": "How many bytes its removal freed.",
      limit: "How many bytes it may take at most.",
      limitExclusive: "How many bytes it may take at most that it shares with nothing else.",
      hostname: "The host name in the image.",
      machineId: "The machine ID in the image.",
      machineInfo: "The lines of the image's machine-info file, as KEY=VALUE.",
      OSRelease: "The lines of the image's os-release file, as KEY=VALUE.",
      newName: "The new name.",
      "SetPoolLimit.limit": "How many bytes all images may take together.",
      mode: "Which images are removed.",
      allowInteractiveAuthentication: "Whether the user may be asked for a password; not unless it is true.",
    },
    errors: {
      NoSuchImage: "There is no such image, or none at all.",
      TooManyOperations: "As much is under way as may be at a time: try again later.",
      NotSupported: "An image of this type, or its file system, cannot do that.",
    },
  },
  errors: { NoSuchImage: {}, TooManyOperations: {}, NotSupported: {} },
});
