// A WebSocket that sends a number every 10 ms and wants each back in its turn, until SIGTERM. It prints
// "open" when the first came, and at the end how many. Exit 1, with the reason, when it was cut or heard another number. Usage:
//   node wscount.js wss://HOST:PORT/ws CA.pem COOKIES
'use strict';

const fs = require('node:fs');
const WebSocket = require('ws');

const [url, ca, cookies] = process.argv.slice(2);
const headers = { Origin: 'https://' + new URL(url).host };
if (cookies)
	headers.Cookie = cookies;
let sent = 0;
let heard = 0;
let ending = false;

function fail(why) {
	console.log('WebSocket: ' + why);
	process.exit(1);
}

const socket = new WebSocket(url, { ca: fs.readFileSync(ca), headers, handshakeTimeout: 10000 });
socket.on('error', (error) => fail(error.message));
socket.on('close', (code) => fail('closed, code ' + code + ', after ' + heard));
socket.on('open', () => setInterval(() => {
	if (!ending)
		socket.send(String(sent++));
	else if (heard === sent) {
		console.log(JSON.stringify({ echoed: heard }));
		process.exit(0);
	}
}, 10));
socket.on('message', (data) => {
	if (String(data) !== String(heard))
		fail('heard ' + data + ' for ' + heard);
	if (heard++ === 0)
		console.log('open');
});
process.on('SIGTERM', () => { ending = true; });
