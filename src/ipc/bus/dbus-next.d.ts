// The parts of dbus-next that ipc/bus/connection.ts imports by their own path: the package's entry point pulls in X11.
declare module "dbus-next/lib/bus.js" {
  import type { EventEmitter } from "node:events";
  import type { Message } from "dbus-next/lib/message-type.js";

  export default class MessageBus extends EventEmitter {
    constructor(connection: EventEmitter);
    readonly name: string | null;
    _serial: number;
    readonly _methodReturnHandlers: Record<number, unknown>;
    newSerial(): number;
    call(message: Message): Promise<unknown>;
  }
}

declare module "dbus-next/lib/message-type.js" {
  export class Message {
    constructor(fields: object);
    serial: number | null;
    readonly member?: string;
    readonly destination?: string;
  }
}
