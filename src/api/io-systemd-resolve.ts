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
      access: "everyone",
      doc: "The names that are worth asking about; again whenever they change.",
    },
    ResolveRecord: {
      in: { question: "[]Question" },
      out: { rcode: "?int", answer: "?[]Answer" },
      access: "everyone",
      doc: "Answers a question; an empty reply means that it is somebody else's.",
    },
  },
  notes: {
    types: {
      ResourceKey: "What is asked about.",
      Question: "One question of a DNS message.",
      ResourceRecord: "A record that answers it.",
      Answer: "The same, as it goes into a DNS message.",
    },
    fields: {
      class: "The DNS class; 1 (IN) unless given.",
      type: "The DNS type: 1 (A), 28 (AAAA).",
      name: "The name, without a dot at its end.",
      key: "What is asked about.",
      "ResourceRecord.key": "What it is about.",
      address: "The bytes of the address.",
      rr: "The record by its fields.",
      raw: "The record in DNS wire format, in Base64.",
      ifindex: "The network interface of the host that leads there.",
      filterDomains: "The domains that are worth asking about.",
      filterLabelsMin: "The least number of labels that a name has.",
      filterLabelsMax: "The greatest number of labels that a name has.",
      question: "The questions.",
      rcode: "The DNS response code; 0 is success.",
      answer: "The answers.",
    },
    errors: {},
  },
  errors: {},
});
