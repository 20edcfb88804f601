// io.systemd.Resolve.Hook: systemd-resolved asks here for the addresses of machines (since 259).
import { defineVarlinkInterface } from "./varlink-table.ts";

export const IoSystemdResolveHook = defineVarlinkInterface({
  name: "io.systemd.Resolve.Hook",
  doc: "Answers for the names of machines.",
  types: {
    ResourceKey: { class: "?int", type: "int", name: "string" },
    Question: { key: "ResourceKey" },
    ResourceRecord: { key: "ResourceKey", address: "?[]int" },
    Answer: { rr: "?ResourceRecord", raw: "string", ifindex: "?int" },
  },
  methods: {
    QueryFilter: {
      in: {},
      out: { filterDomains: "?[]string", filterLabelsMin: "?int", filterLabelsMax: "?int" },
      more: "supported",
      doc: "The names that are worth asking about; again whenever they change.",
    },
    ResolveRecord: {
      in: { question: "[]Question" },
      out: { rcode: "?int", answer: "?[]Answer" },
      doc: "Answers a question; an empty reply means that it is somebody else's.",
    },
  },
  errors: {},
});
