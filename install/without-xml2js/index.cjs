// dbus-next makes a Builder for each connection and never uses it unless its own service layer does. Ours does not:
// introspection is written by src/ipc/render.ts. Leaving the real library out saves a third of a client's start.
class NotUsed {
  buildObject() {
    throw new Error("xml2js is not used: introspection is written by src/ipc/render.ts");
  }

  parseStringPromise() {
    return Promise.reject(new Error("xml2js is not used: objects are described by src/api"));
  }
}

module.exports = { Builder: NotUsed, Parser: NotUsed };
