// SPDX-License-Identifier: Apache-2.0
// npm_ws.js FOLDER URL: exchange() with the package `ws` from FOLDER/node_modules; prints the result as JSON.
const path = require('path');
const WebSocket = require(path.join(path.resolve(process.argv[2]), 'node_modules', 'ws'));
const { exchange } = require('./exchange.js');

exchange(WebSocket, process.argv[3]).then(
  (result) => console.log(JSON.stringify(result)),
  (fault) => {
    console.error(fault);
    process.exit(1);
  },
);
