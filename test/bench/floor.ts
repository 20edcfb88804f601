// The minimum that Bun itself takes: a program that connects to a unix socket, sends a message, and ends when it gets
// an answer.
const { promise, resolve } = Promise.withResolvers<void>();
const handlers = { data: () => resolve(), close: () => resolve(), error: () => resolve() };
const socket = await Bun.connect({ unix: process.argv[2] ?? "", socket: handlers });
socket.write('{"method":"org.varlink.service.GetInfo"}\0');
await promise;
process.exit(0);

export {};
