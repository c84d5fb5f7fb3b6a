// SPDX-License-Identifier: Apache-2.0
import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * Exchange URL yes|no CA: the exchange with java.net.http.WebSocket, which knows no compression, cannot close without a code,
 * and tells nobody that the server has answered a Close.
 */
class Exchange {
  static final int LARGEST = 5242864;

  record Closed(int code, String reason) {
    @Override
    public String toString() {
      return "[" + code + ", " + quoted(reason) + "]";
    }
  }

  /** Puts what comes into a queue, messages whole. */
  static class Listener implements WebSocket.Listener {
    final BlockingQueue<Object> come = new LinkedBlockingQueue<>();
    final StringBuilder text = new StringBuilder();
    final ByteArrayOutputStream octets = new ByteArrayOutputStream();

    @Override
    public CompletionStage<?> onText(WebSocket socket, CharSequence data, boolean last) {
      text.append(data);
      if (last) {
        come.add(text.toString());
        text.setLength(0);
      }
      socket.request(1);
      return null;
    }

    @Override
    public CompletionStage<?> onBinary(WebSocket socket, ByteBuffer data, boolean last) {
      byte[] piece = new byte[data.remaining()];
      data.get(piece);
      octets.writeBytes(piece);
      if (last) {
        come.add(octets.toByteArray());
        octets.reset();
      }
      socket.request(1);
      return null;
    }

    @Override
    public CompletionStage<?> onPong(WebSocket socket, ByteBuffer data) {
      come.add(StandardCharsets.UTF_8.decode(data));
      socket.request(1);
      return null;
    }

    @Override
    public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
      come.add(new Closed(code, reason));
      return null;
    }

    @Override
    public void onError(WebSocket socket, Throwable error) {
      come.add(error);
    }

    Object next() throws Exception {
      Object next = come.poll(60, TimeUnit.SECONDS);
      if (next == null) throw new Exception("nothing came within a minute");
      if (next instanceof Throwable) throw new Exception((Throwable) next);
      return next;
    }
  }

  static Map<String, Object> payloads() {
    byte[] octets = new byte[256];
    for (int i = 0; i < octets.length; i++) octets[i] = (byte) i;
    byte[] largest = new byte[LARGEST];
    for (int i = 0; i < largest.length; i++) largest[i] = (byte) (i * 31);
    Map<String, Object> payloads = new LinkedHashMap<>();
    payloads.put("text", "hello");
    payloads.put("text with U+0000", "a\0b\0");
    payloads.put("4-octet UTF-8", "\uD83D\uDE00 \uDBFF\uDFFF");
    payloads.put("empty text", "");
    payloads.put("1-octet text", "x");
    payloads.put("text worth compressing", "hello ".repeat(100));
    payloads.put("the same again", "hello ".repeat(100));
    payloads.put("large text", "hello ".repeat(87381));
    payloads.put("largest text", "y".repeat(LARGEST));
    payloads.put("binary", octets);
    payloads.put("empty binary", new byte[0]);
    payloads.put("1-octet binary", new byte[1]);
    payloads.put("largest binary", largest);
    return payloads;
  }

  static HttpClient client(String authority) throws Exception {
    KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
    trusted.load(null, null);
    try (InputStream file = new FileInputStream(authority)) {
      trusted.setCertificateEntry("authority", CertificateFactory.getInstance("X.509").generateCertificate(file));
    }
    TrustManagerFactory managers = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    managers.init(trusted);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(null, managers.getTrustManagers(), null);
    return HttpClient.newBuilder().sslContext(context).build();
  }

  static WebSocket open(HttpClient client, String url, Listener listener) throws Exception {
    return client.newWebSocketBuilder().buildAsync(URI.create(url), listener).get(60, TimeUnit.SECONDS);
  }

  static Closed close(WebSocket socket, Listener listener, int code, String reason) throws Exception {
    socket.sendClose(code, reason).get(60, TimeUnit.SECONDS);
    return (Closed) listener.next();
  }

  static boolean same(Object data, Object answer) {
    if (data instanceof byte[] && answer instanceof byte[]) return Arrays.equals((byte[]) data, (byte[]) answer);
    return data.equals(answer);
  }

  static String quoted(String text) {
    return '"' + text + '"'; // none of the texts here needs escapes
  }

  public static void main(String[] arguments) throws Exception {
    String url = arguments[0];
    HttpClient client = client(arguments[2]);
    Listener listener = new Listener();
    WebSocket socket = open(client, url + "/echo", listener);
    List<String> echoed = new ArrayList<>();
    for (Map.Entry<String, Object> payload : payloads().entrySet()) {
      Object data = payload.getValue();
      if (data instanceof String) socket.sendText((String) data, true).get(60, TimeUnit.SECONDS);
      else socket.sendBinary(ByteBuffer.wrap((byte[]) data), true).get(60, TimeUnit.SECONDS);
      if (!same(data, listener.next())) throw new Exception(payload.getKey() + " came back changed");
      echoed.add(quoted(payload.getKey()));
    }
    socket.sendPing(StandardCharsets.UTF_8.encode("mark")).get(60, TimeUnit.SECONDS);
    boolean ponged = "mark".contentEquals((CharSequence) listener.next());
    Closed normally = close(socket, listener, 1000, "");
    listener = new Listener();
    Closed withReason = close(open(client, url + "/4321", listener), listener, 4321, "own code");
    System.out.printf("{\"echoed\": [%s], \"extensions\": null, \"ponged\": %b, \"closed\": {\"echo\": %s, \"4321\": %s}}%n",
        String.join(", ", echoed), ponged, normally, withReason);
  }
}
