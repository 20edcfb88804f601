// io.systemd.UserDatabase (https://systemd.io/USER_GROUP_API). The filters of 258 are left out on purpose: clients that
// send one are told its name, and filter themselves.
import { defineVarlinkInterface } from "./varlink-table.ts";

export const IoSystemdUserDatabase = defineVarlinkInterface({
  name: "io.systemd.UserDatabase",
  doc: "Users and groups of machines, as the host sees them.",
  types: {},
  methods: {
    GetUserRecord: {
      in: { uid: "?int", userName: "?string", service: "string" },
      out: { record: "object", incomplete: "?bool" },
      more: "supported",
      doc: "The record of a user.",
    },
    GetGroupRecord: {
      in: { gid: "?int", groupName: "?string", service: "string" },
      out: { record: "object", incomplete: "?bool" },
      more: "supported",
      doc: "The record of a group.",
    },
    GetMemberships: {
      in: { userName: "?string", groupName: "?string", service: "string" },
      out: { userName: "string", groupName: "string" },
      more: "supported",
      doc: "Which users are in which groups.",
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
