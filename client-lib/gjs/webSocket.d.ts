// SPDX-License-Identifier: Apache-2.0
/*
 * Types of webSocket.js, and of the two modules whose place it takes: let `paths` in tsconfig.json map @kit.NetworkKit
 * and @kit.BasicServicesKit to this file. Units, ranges and defaults stand here; what differs from the guide, in
 * docs/javascript.md.
 */
/** What a call fails with: `code` is the guide's number, `message` a sentence. */
export class BusinessError<T = void> extends Error {
  constructor(code: number, message: string);
  code: number;
  data: T;
  toJSON(): { code: number; message: string };
}

export interface Callback<T> {
  (data: T): void;
}

/** `error` is undefined where it went well. */
export interface AsyncCallback<T, E = void> {
  (error: BusinessError<E>, data: T): void;
}

export interface ErrorCallback<T extends Error = BusinessError> {
  (error: T): void;
}

export namespace webSocket {
  /** A client that is not connected. */
  function createWebSocket(): WebSocket;
  /** A server that does not run. */
  function createWebSocketServer(): WebSocketServer;

  // --- Client ---

  interface HttpProxy {
    host: string;
    port: number;
    /** Hosts that are connected to directly: `localhost`, `*.local`, `192.168.0.0/16`. */
    exclusionList: Array<string>;
    username?: string;
    password?: string;
  }

  type ProxyConfiguration = 'system' | 'no-proxy' | HttpProxy;

  enum TlsProtocol {
    TLS_V_1_0 = 'TLSv1.0',
    TLS_V_1_1 = 'TLSv1.1',
    TLS_V_1_2 = 'TLSv1.2',
    TLS_V_1_3 = 'TLSv1.3',
  }

  interface ClientCert {
    /** PEM files. */
    certPath: string;
    keyPath: string;
    keyPassword?: string;
  }

  interface WebSocketRequestOptions {
    /** Headers of the request: name to value. */
    header?: Object;
    /** A file of CA certificates (PEM) instead of the system's. */
    caPath?: string;
    clientCert?: ClientCert;
    /** Default: 'system'. */
    proxy?: ProxyConfiguration;
    /** The subprotocol to offer, or a comma list. */
    protocol?: string;
    /** Default: false. */
    skipServerCertVerification?: boolean;
    /** Seconds, 0 to 30000; 0 is off. Default: 30. */
    pingInterval?: number;
    /** Seconds, not above pingInterval. Default: 30, or pingInterval where that is less. */
    pongTimeout?: number;
    /** Default: TLS_V_1_2, which is also what older ones mean. */
    minSupportTlsProtocol?: TlsProtocol;
  }

  interface WebSocketCloseOptions {
    /** 1000-1003, 1007-1014 or 3000-4999. Default: 1000. */
    code?: number;
    /** At most 123 octets of UTF-8. Default: 'CLOSE_NORMAL'. */
    reason?: string;
  }

  interface CloseResult {
    code: number;
    reason: string;
  }

  interface OpenResult {
    /** 101 */
    status: number;
    message: string;
  }

  /** Names in lower case; those that came several times are joined by ', '. */
  type ResponseHeaders = {
    [k: string]: string | string[] | undefined;
  };

  interface WebSocket {
    /** Settles when the connection is open, or has failed. */
    connect(url: string, callback: AsyncCallback<boolean>): void;
    connect(url: string, options: WebSocketRequestOptions, callback: AsyncCallback<boolean>): void;
    connect(url: string, options?: WebSocketRequestOptions): Promise<boolean>;

    /** Settles when the message was written to the socket. */
    send(data: string | ArrayBuffer, callback: AsyncCallback<boolean>): void;
    send(data: string | ArrayBuffer): Promise<boolean>;

    /** Settles when the Close frame is on its way, behind everything sent before. */
    close(callback: AsyncCallback<boolean>): void;
    close(options: WebSocketCloseOptions, callback: AsyncCallback<boolean>): void;
    close(options?: WebSocketCloseOptions): Promise<boolean>;

    on(type: 'open', callback: AsyncCallback<Object>): void;
    on(type: 'message', callback: AsyncCallback<string | ArrayBuffer>): void;
    on(type: 'close', callback: AsyncCallback<CloseResult>): void;
    on(type: 'error', callback: ErrorCallback): void;
    on(type: 'headerReceive', callback: Callback<ResponseHeaders>): void;
    on(type: 'dataEnd', callback: Callback<void>): void;

    off(type: 'open', callback?: AsyncCallback<Object>): void;
    off(type: 'message', callback?: AsyncCallback<string | ArrayBuffer>): void;
    off(type: 'close', callback?: AsyncCallback<CloseResult>): void;
    off(type: 'error', callback?: ErrorCallback): void;
    off(type: 'headerReceive', callback?: Callback<ResponseHeaders>): void;
    off(type: 'dataEnd', callback?: Callback<void>): void;
  }

  // --- Server ---

  interface ServerCert {
    /** PEM files. With them, peers have to use wss. */
    certPath: string;
    keyPath: string;
  }

  interface WebSocketServerConfig {
    /** 1 to 65535 */
    serverPort: number;
    /** Default: '0.0.0.0', all IPv4 addresses. */
    serverIP?: string;
    serverCert?: ServerCert;
    /** Distinct addresses that may be connected at a time. Default: 10. */
    maxConcurrentClientsNumber?: number;
    /** Connections that one address may have at a time. Default: 10. */
    maxConnectionsForOneClient?: number;
    /** The subprotocol, or a comma list in order of preference. */
    protocol?: string;

    /** Not in the guide: web pages that may connect, such as 'https://a.example'. Default: all. */
    allowedOrigins?: string[];
    /** Not in the guide: octets of the largest message. Default: 5242864. */
    maxMessageSize?: number;
  }

  interface WebSocketConnection {
    clientIP: string;
    clientPort: number;
  }

  interface WebSocketMessage {
    clientConnection: WebSocketConnection;
    data: string | ArrayBuffer;
  }

  type ClientConnectionCloseCallback = (clientConnection: WebSocketConnection, closeReason: CloseResult) => void;

  interface WebSocketServer {
    /** Settles when peers can connect, or why they cannot is known. */
    start(config: WebSocketServerConfig): Promise<boolean>;
    /** Settles when the port is free again; peers get a Close frame with 1001. */
    stop(): Promise<boolean>;
    /** Settles when the message was written to the peer's socket. */
    send(data: string | ArrayBuffer, connection: WebSocketConnection): Promise<boolean>;
    /** Settles when the Close frame is on its way, behind everything sent before. */
    close(connection: WebSocketConnection, options?: WebSocketCloseOptions): Promise<boolean>;
    listAllConnections(): Promise<WebSocketConnection[]>;

    on(type: 'connect', callback: Callback<WebSocketConnection>): void;
    on(type: 'messageReceive', callback: Callback<WebSocketMessage>): void;
    on(type: 'close', callback: ClientConnectionCloseCallback): void;
    on(type: 'error', callback: ErrorCallback): void;

    off(type: 'connect', callback?: Callback<WebSocketConnection>): void;
    off(type: 'messageReceive', callback?: Callback<WebSocketMessage>): void;
    off(type: 'close', callback?: ClientConnectionCloseCallback): void;
    off(type: 'error', callback?: ErrorCallback): void;
  }
}

export default webSocket;
