// SPDX-License-Identifier: Apache-2.0
// npm_ws.js URL yes|no CA: exchange() with the package `ws` from $WSSERVERD_CLIENTS/node_modules.
const fs = require('fs');
const path = require('path');
const WebSocket = require(path.join(path.resolve(process.env.WSSERVERD_CLIENTS), 'node_modules', 'ws'));
const { exchange } = require('./exchange.js');

const [url, compressed, authority] = process.argv.slice(2);
const options = { perMessageDeflate: compressed === 'yes', ca: fs.readFileSync(authority) };

exchange((to) => new WebSocket(to, options), url).then(
  (result) => console.log(JSON.stringify(result)),
  (fault) => {
    console.error(fault);
    process.exit(1);
  },
);
