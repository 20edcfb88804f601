// What the engine itself takes: a program that connects to a unix socket, says something, and ends when it is answered.
const { promise, resolve } = Promise.withResolvers<void>();
const handlers = { data: () => resolve(), close: () => resolve(), error: () => resolve() };
const socket = await Bun.connect({ unix: process.argv[2] ?? "", socket: handlers });
socket.write('{"method":"org.varlink.service.GetInfo"}\0');
await promise;
process.exit(0);

export {};
