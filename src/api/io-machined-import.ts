// io.machined.Import: what the daemon of transfers does beside the original's. An interface of this program's own.

import { LAYER_COMPRESSIONS } from "../base/vocabulary/compression.ts";
import { IMAGE_CLASSES } from "../base/vocabulary/image-class.ts";
import { defineVarlinkInterface } from "./varlink-table.ts";

export const IoMachinedImport = defineVarlinkInterface({
  name: "io.machined.Import",
  doc: "Transfers of images that io.systemd.Import does not know.",
  types: {
    ImageClass: IMAGE_CLASSES.values,
    LayerFormat: LAYER_COMPRESSIONS,
    Login: { registry: "string", user: "string", password: "string" },
    LogMessage: { message: "string", priority: "int" },
  },
  methods: {
    PushOci: {
      in: {
        local: "string",
        remote: "string",
        class: "?ImageClass",
        base: "?string",
        format: "?LayerFormat",
        login: "?Login",
        allowInteractiveAuthentication: "?bool",
      },
      out: { progress: "?float", log: "?LogMessage", id: "?int" },
      more: "supported",
      access: {
        action: "org.freedesktop.import1.export",
        details: ["remote", "local", "base", "class", "type"],
        note: "without a login, that of the daemon's own user is used for root alone",
      },
      doc: "Sends an image to a registry of container images. With 'more' the transfer is followed to its end; it goes on when nobody follows. In io.systemd.Import, which has no word for it, it is listed as export_tar.",
    },
  },
  notes: {
    types: {
      ImageClass: "What an image is for.",
      LayerFormat: "How a layer is compressed.",
      Login: "How a user is known to a registry.",
      LogMessage: "A line of a transfer's log.",
    },
    fields: {
      machine: "A container or virtual machine.",
      portable: "A portable service.",
      sysext: "A system extension.",
      confext: "A configuration extension.",
      gzip: "As gzip(1) does.",
      zstd: "As zstd(1) does.",
      registry: "The host, with its port, that the login is for. It is sent to no other.",
      user: "The name, or '<token>'.",
      password: "The password, or a token of identity where the name is '<token>'.",
      message: "The text.",
      priority: "Its priority, as of syslog(3).",
      local: "The name of the image.",
      remote: "Where it goes: REGISTRY/IMAGE[:TAG].",
      class: "What the image is for; a machine unless given.",
      base: "An image that it was made from: then its layer, and what is different, are two layers.",
      format: "How layers are compressed; gzip unless given.",
      login: "The login for the registry.",
      progress: "How much of it is done, from 0 to 1.",
      log: "A line of its log.",
      id: "The number of the transfer.",
      allowInteractiveAuthentication: "Whether the user may be asked for a password; not unless it is true.",
    },
    errors: {},
  },
  errors: {},
});
