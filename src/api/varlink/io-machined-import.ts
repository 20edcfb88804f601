// io.machined.Import: transfers that io.systemd.Import does not have. Not part of systemd.
import { LAYER_COMPRESSIONS } from "../../base/vocabulary/compression.ts";
import { IMAGE_CLASSES } from "../../base/vocabulary/image-class.ts";
import { defineVarlinkInterface } from "../varlink-table.ts";

export const IoMachinedImport = defineVarlinkInterface({
  name: "io.machined.Import",
  doc: "Transfers of images that io.systemd.Import does not have.",
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
      doc: "Sends an image to a registry of container images. With 'more', replies report its progress until it ends; closing the connection does not cancel it. io.systemd.Import, which has no type for it, lists it as export_tar.",
    },
  },
  notes: {
    types: {
      ImageClass: "What an image is for.",
      LayerFormat: "How a layer is compressed.",
      Login: "Credentials for a registry.",
      LogMessage: "A line of a transfer's log.",
    },
    fields: {
      machine: "A container or virtual machine.",
      portable: "A portable service.",
      sysext: "A system extension.",
      confext: "A configuration extension.",
      gzip: "As gzip(1) does.",
      zstd: "As zstd(1) does.",
      registry: "The host and port that the login is for; it is sent to no other host.",
      user: "The user name, or '<token>'.",
      password: "The password, or an identity token where the user is '<token>'.",
      message: "The text of the line.",
      priority: "Its facility and level as in syslog(3): 30 is daemon and info; the remainder by 8 is the level.",
      local: "The name of the image.",
      remote: "The destination: REGISTRY/IMAGE[:TAG].",
      class: "What the image is for; a machine unless given.",
      base: "The local image that this one was made from: its content becomes the first layer, the differences the second.",
      format: "How layers are compressed; gzip unless given.",
      login: "The login for the registry.",
      progress: "The progress of the transfer, from 0 to 1.",
      log: "A line of the transfer's log.",
      id: "The number of the transfer.",
      allowInteractiveAuthentication: "Whether the user may be asked for a password; not unless it is true.",
    },
    errors: {},
  },
  errors: {},
});
