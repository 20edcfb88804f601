// io.systemd.Resolve.Hook: systemd-resolved asks here for the addresses of machines (since 259).
import { defineVarlinkInterface } from "../varlink-table.ts";

export const IoSystemdResolveHook = defineVarlinkInterface({
  name: "io.systemd.Resolve.Hook",
  doc: "Resolves the names of machines.",
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
      access: "everyone",
      doc: "Which names this hook may answer; with 'more', again whenever that changes.",
    },
    ResolveRecord: {
      in: { question: "[]Question" },
      out: { rcode: "?int", answer: "?[]Answer" },
      access: "everyone",
      doc: "Resolves a name; an empty reply means that the hook does not know it and that systemd-resolved continues.",
    },
  },
  notes: {
    types: {
      ResourceKey: "The name, class and type of a record.",
      Question: "One question of a DNS message.",
      ResourceRecord: "A record with its data.",
      Answer: "A record as it is put into a DNS message.",
    },
    fields: {
      class: "The DNS class; 1 (IN) unless given.",
      type: "The DNS type: 1 (A), 28 (AAAA).",
      name: "The name, without a dot at its end.",
      key: "The record that is asked for.",
      "ResourceRecord.key": "The name, class and type of the record.",
      address: "The bytes of the address.",
      rr: "The record by its fields.",
      raw: "The record in DNS wire format, in Base64.",
      ifindex: "The index of the host's interface that leads to the address.",
      filterDomains: "The domains whose names may be answered.",
      filterLabelsMin: "The least number of labels of such a name.",
      filterLabelsMax: "The greatest number of labels of such a name.",
      question: "The questions.",
      rcode: "The DNS response code; 0 is success.",
      answer: "The answers.",
    },
    errors: {},
  },
  errors: {},
});
