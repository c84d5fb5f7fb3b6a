// SPDX-License-Identifier: Apache-2.0
// An echo server in Vala, which visits itself: prints what came back.
int main () {
  var loop = new MainLoop ();
  var server = new Ws.Server ();
  var config = new Ws.ServerConfig (0);
  config.server_ip = "127.0.0.1";
  server.message_receive.connect ((connection, message) => {
    try {
      connection.send (message);
    } catch (Error error) {
      printerr ("%s\n", error.message);
    }
  });
  var client = new Ws.Client ();
  client.message.connect ((message) => {
    print ("%s\n", message.get_text ());
    try {
      client.say_goodbye (1000, "thanks");
    } catch (Error error) {
      printerr ("%s\n", error.message);
    }
  });
  client.close.connect ((code, reason, clean) => {
    print ("%u %s\n", code, reason);
    loop.quit ();
  });
  try {
    server.start (config, null);
  } catch (Error error) {
    printerr ("%s\n", error.message);
    return 1;
  }
  client.connect_async.begin (server.get_uri (), null, null, (source, result) => {
    try {
      client.connect_async.end (result);
      client.send_text ("hello from Vala");
    } catch (Error error) {
      printerr ("%s\n", error.message);
      loop.quit ();
    }
  });
  loop.run ();
  return 0;
}
