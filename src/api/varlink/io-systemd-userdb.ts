// io.systemd.UserDatabase (https://systemd.io/USER_GROUP_API). The filter parameters of 258 are left out on
// purpose: a client that sends one gets InvalidParameter with its name, and filters by itself.
import { defineVarlinkInterface } from "../varlink-table.ts";

export const IoSystemdUserDatabase = defineVarlinkInterface({
  name: "io.systemd.UserDatabase",
  doc: "Users and groups of machines, as the host sees them.",
  types: {},
  methods: {
    GetUserRecord: {
      in: { uid: "?int", userName: "?string", service: "string" },
      out: { record: "object", incomplete: "?bool" },
      more: "supported",
      access: "everyone",
      doc: "The record of a user.",
    },
    GetGroupRecord: {
      in: { gid: "?int", groupName: "?string", service: "string" },
      out: { record: "object", incomplete: "?bool" },
      more: "supported",
      access: "everyone",
      doc: "The record of a group.",
    },
    GetMemberships: {
      in: { userName: "?string", groupName: "?string", service: "string" },
      out: { userName: "string", groupName: "string" },
      more: "supported",
      access: "everyone",
      doc: "Which users are in which groups.",
    },
  },
  notes: {
    fields: {
      uid: "The number of the user.",
      gid: "The number of the group.",
      userName: "The name of the user.",
      groupName: "The name of the group.",
      service: "The name of this service, io.systemd.Machine.",
      record: "The record (https://systemd.io/USER_RECORD, https://systemd.io/GROUP_RECORD).",
      incomplete: "Whether parts of the record were left out because the caller may not see them.",
    },
    errors: {
      NoRecordFound: "The service has no such user or group.",
      BadService: "The call names another service.",
      ServiceNotAvailable: "The service cannot answer at the moment.",
      ConflictingRecordFound: "The name and the number belong to different records.",
      EnumerationNotSupported: "The service cannot list all records.",
    },
  },
  errors: {
    NoRecordFound: {},
    BadService: {},
    ServiceNotAvailable: {},
    ConflictingRecordFound: {},
    EnumerationNotSupported: {},
  },
});
