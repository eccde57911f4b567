// Proves a WebSocket: connects, sends a text, expects it back, exits 0 or 1. Usage:
//   node wsecho.js wss://HOST:PORT/ws CA.pem NAME=VALUE[; …]   the last one being the cookies
// Names below localhost are loopback here as they are in browsers, whatever the resolver says.
'use strict';

const fs = require('node:fs');
const WebSocket = require('ws');

const [url, ca, cookies] = process.argv.slice(2);
const where = new URL(url);
const text = 'hello ' + process.pid;
const headers = { Origin: 'https://' + where.host };
if (cookies)
	headers.Cookie = cookies;

function lookup(host, options, done) {
	const found = { address: '127.0.0.1', family: 4 };
	if (options.all)
		done(null, [found]);
	else
		done(null, found.address, found.family);
}

function fail(why) {
	console.error('WebSocket: ' + why);
	process.exit(1);
}

const options = { ca: fs.readFileSync(ca), headers, handshakeTimeout: 10000 };
if (where.hostname.endsWith('.localhost'))
	options.lookup = lookup;
const socket = new WebSocket(url, options);
setTimeout(() => fail('no echo within 15 s'), 15000).unref();
socket.on('open', () => socket.send(text));
socket.on('error', (error) => fail(error.message));
socket.on('close', () => fail('closed before the echo came'));
socket.on('message', (data) => {
	if (String(data) !== text)
		fail('the echo differs');
	process.exit(0);
});
