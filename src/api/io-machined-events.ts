// io.machined.Events: what happens to machines, as a log that is read and followed. An interface of this program's own.
import { CHOSEN_TYPES, ENDINGS, EVENT_TYPES } from "../base/vocabulary/event.ts";
import { MACHINE_CLASSES } from "../base/vocabulary/machine.ts";
import { defineVarlinkInterface } from "./varlink-table.ts";

export const IoMachinedEvents = defineVarlinkInterface({
  name: "io.machined.Events",
  doc: "What happens on this host to machines.",
  types: {
    EventType: EVENT_TYPES.values,
    ChosenType: CHOSEN_TYPES.values,
    MachineClass: MACHINE_CLASSES.values,
    Ending: ENDINGS.values,
  },
  methods: {
    Subscribe: {
      in: {
        cursor: "?string",
        sinceUSec: "?int",
        machines: "?[]string",
        types: "?[]ChosenType",
        follow: "?bool",
      },
      out: {
        cursor: "string",
        time: "int",
        type: "EventType",
        event: "string",
        machine: "?string",
        class: "?MachineClass",
        service: "?string",
        unit: "?string",
        leader: "?int",
        how: "?Ending",
        status: "?int",
        signal: "?int",
        count: "?int",
      },
      more: "required",
      access: "everyone",
      doc: "Reads the log from a place on. The first reply has the event 'begin' and says where the reader begins; 'missed' counts what had left the log before it was read. Without 'follow' the last reply has the event 'end'.",
    },
  },
  notes: {
    types: {
      EventType: "What an event is about.",
      ChosenType: "What a reader can ask for.",
      MachineClass: "What a machine is.",
      Ending: "How a machine ended.",
    },
    fields: {
      container: "It shares the kernel of the host.",
      vm: "It has a kernel of its own.",
      host: "The host itself.",
      log: "The reader's own place in the log.",
      exited: "Its leader ended with an exit status.",
      killed: "Its leader was ended by a signal.",
      unregistered: "It was forgotten; its processes were left alone.",
      cursor: "The place of the event in the log, which reading can begin behind.",
      "Subscribe.cursor": "In the call: the event behind which reading begins; in a reply: the place of the event.",
      sinceUSec:
        "Where no cursor is given: events from this time on, in microseconds since 1970. Without either, only what happens from now on.",
      machines: "Events of these machines only; of all unless given.",
      types: "Events of these types only; of all unless given.",
      follow: "Whether to wait for what is to come; yes unless given.",
      time: "When it happened, in microseconds since 1970.",
      type: "What the event is about.",
      event: "What happened.",
      "EventType.machine": "A machine.",
      "ChosenType.machine": "Machines that start and end.",
      machine: "The name of the machine.",
      class: "What the machine is.",
      service: "The program that registered it.",
      unit: "The unit that holds its processes.",
      leader: "The number of its leader.",
      how: "How it ended, where that is known.",
      status: "The exit status of its leader.",
      signal: "The number of the signal that ended its leader.",
      count:
        "How many there were. Of missed events all are counted, whatever the reader asks for; absent where the log has begun anew since.",
    },
    errors: {},
  },
  errors: {},
});
