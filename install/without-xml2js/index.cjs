// Replaces xml2js. dbus-next makes a Builder for each connection, but only its service layer uses it, which this
// project does not: src/ipc/bus/introspection.ts writes introspection. Without the real library, a client starts in two
// thirds of the time.
class NotUsed {
  buildObject() {
    throw new Error("xml2js is not used: introspection is written by src/ipc/bus/introspection.ts");
  }

  parseStringPromise() {
    return Promise.reject(new Error("xml2js is not used: objects are described by src/api"));
  }
}

module.exports = { Builder: NotUsed, Parser: NotUsed };
