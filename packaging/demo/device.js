// The sample device: a small page with a lamp and a WebSocket echo, on a loopback port of its own.
// Like a real one it knows nothing of the gateway. Usage:
//   node device.js --name TV [--port N] [--port-file FILE] [--log FILE]
// The log has a line of JSON for each request that reached it.
'use strict';

const fs = require('node:fs');
const http = require('node:http');
const { WebSocketServer } = require('ws');

const BIG_CHUNK = Buffer.alloc(65536, 'lanthorn ');
const MAX_JSON = 4096;

function option(name, fallback) {
	const at = process.argv.indexOf('--' + name);
	return at > 0 && at + 1 < process.argv.length ? process.argv[at + 1] : fallback;
}

const name = option('name', 'Lamp');
const state = { on: false, changes: 0 };

const STYLE = `
:root { color-scheme: light dark; --bg: #f6f4ef; --card: #fff; --ink: #2b2a27; --soft: #6f6b63;
	--line: #e4e0d7; --glow: #f2b134; --act: #2f5d50; }
@media (prefers-color-scheme: dark) { :root { --bg: #1c1b19; --card: #262522; --ink: #efece5;
	--soft: #a7a298; --line: #3a3833; --glow: #f5c04f; --act: #8cc7b5; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; background: var(--bg); color: var(--ink);
	font: 17px/1.5 system-ui, sans-serif; display: grid; place-content: center; padding: 24px; }
main { width: min(420px, calc(100vw - 48px)); display: grid; gap: 16px;
	grid-template-columns: minmax(0, 1fr); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 16px;
	padding: 24px; }
h1 { font-size: 24px; margin: 0; }
h2 { font-size: 17px; margin: 0 0 12px; }
p { color: var(--soft); margin: 4px 0 0; }
.lamp { display: flex; align-items: center; gap: 20px; }
.bulb { flex: none; width: 56px; height: 56px; border-radius: 50%;
	border: 2px solid var(--line); transition: background .2s, box-shadow .2s; }
.on .bulb { background: var(--glow); border-color: var(--glow);
	box-shadow: 0 0 32px var(--glow); }
button { font: inherit; min-height: 44px; padding: 0 20px; border-radius: 12px; border: 0;
	background: var(--act); color: var(--card); cursor: pointer; }
form { display: flex; gap: 12px; }
input { font: inherit; min-height: 44px; min-width: 0; flex: 1; padding: 0 12px; color: inherit;
	background: transparent; border: 1px solid var(--line); border-radius: 12px; }
output { display: block; min-height: 26px; margin-top: 12px; color: var(--soft);
	overflow-wrap: anywhere; }
:focus-visible { outline: 3px solid var(--glow); outline-offset: 2px; }
`;

const SCRIPT = `
'use strict';
const $ = (id) => document.getElementById(id);
function show(lamp) {
	$('lamp').classList.toggle('on', lamp.on);
	$('word').textContent = lamp.on ? 'On' : 'Off';
	$('switch').textContent = lamp.on ? 'Turn off' : 'Turn on';
	$('switch').setAttribute('aria-pressed', String(lamp.on));
}
async function load(change) {
	const answer = await fetch('/api/state', change);
	if (!answer.ok)
		throw new Error('status ' + answer.status);
	show(await answer.json());
}
$('switch').addEventListener('click', () => load({ method: 'POST',
	headers: { 'Content-Type': 'application/json' },
	body: JSON.stringify({ on: $('word').textContent !== 'On' }) })
	.catch(() => { $('word').textContent = 'Not reached'; }));
load().catch(() => { $('word').textContent = 'Not reached'; });
const scheme = location.protocol === 'https:' ? 'wss://' : 'ws://';
const socket = new WebSocket(scheme + location.host + '/ws');
const say = (text) => { $('echo').textContent = text; };
socket.addEventListener('open', () => say('Connected'));
socket.addEventListener('message', (event) => say('Heard back: ' + event.data));
socket.addEventListener('close', () => say('The connection has ended'));
$('talk').addEventListener('submit', (event) => {
	event.preventDefault();
	if (socket.readyState === WebSocket.OPEN)
		socket.send($('text').value);
});
`;

function escaped(text) {
	return text.replace(/[&<>"']/g, (c) => '&#' + c.charCodeAt(0) + ';');
}

const PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escaped(name)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><link rel="stylesheet" href="/style.css"></head>
<body><main>
<header><h1>${escaped(name)}</h1><p>This page lives on the device itself.</p></header>
<section id="lamp" class="lamp" aria-label="Lamp"><span class="bulb" aria-hidden="true"></span>
<div><h2 id="word" aria-live="polite">Asking …</h2>
<button id="switch" type="button">Turn on</button></div></section>
<section><h2>Echo</h2><form id="talk"><input id="text" aria-label="Text to send" value="Hello">
<button>Send</button></form><output id="echo" for="text">Connecting …</output></section>
</main><script src="/app.js"></script></body></html>
`;

function send(res, status, type, body) {
	res.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body),
		'Cache-Control': 'no-store' });
	res.end(res.req.method === 'HEAD' ? undefined : body);
}

function sendJson(res, status, value) {
	send(res, status, 'application/json', JSON.stringify(value));
}

// Reads a small body and calls back with the value, or answers 400 or 413 itself.
function readJson(req, res, done) {
	let text = '';
	req.on('data', (part) => {
		text += part;
		if (text.length > MAX_JSON) {
			sendJson(res, 413, { error: 'too large' });
			req.destroy();
		}
	});
	req.on('end', () => {
		let value;
		try {
			value = JSON.parse(text);
		} catch {
			sendJson(res, 400, { error: 'not JSON' });
			return;
		}
		done(value);
	});
}

function onState(req, res) {
	if (req.method !== 'POST') {
		sendJson(res, 200, state);
		return;
	}
	readJson(req, res, (value) => {
		state.on = Boolean(value && value.on);
		state.changes++;
		sendJson(res, 200, state);
	});
}

function onUpload(req, res) {
	let bytes = 0;
	req.on('data', (part) => { bytes += part.length; });
	req.on('end', () => sendJson(res, 200, { bytes, trailers: req.trailers }));
}

// One event now and one each 200 ms, until the reader goes.
function onStream(req, res) {
	let n = 0;
	res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
	const tick = () => res.write(`id: ${n}\ndata: ${n++}\n\n`);
	tick();
	const timer = setInterval(tick, 200);
	res.on('close', () => clearInterval(timer));
}

function onBig(req, res, url) {
	let left = Math.min(Number(url.searchParams.get('bytes')) || 0, 2 ** 40);
	res.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': left });
	const more = () => {
		while (left > 0) {
			const part = BIG_CHUNK.subarray(0, Math.min(left, BIG_CHUNK.length));
			left -= part.length;
			if (!res.write(part)) {
				res.once('drain', more);
				return;
			}
		}
		res.end();
	};
	more();
}

function onHeaders(req, res) {
	sendJson(res, 200, { method: req.method, url: req.url, headers: req.headers,
		raw: req.rawHeaders });
}

// What a device may answer that a gateway must not let through.
function onEvil(req, res) {
	res.setHeader('Set-Cookie', ['own=1; Path=/', 'toss=1; Domain=lan.localhost; Path=/',
		'__Host-ls=forged; Secure; Path=/']);
	sendJson(res, 200, {});
}

const routes = {
	'/': (req, res) => send(res, 200, 'text/html; charset=utf-8', PAGE),
	'/style.css': (req, res) => send(res, 200, 'text/css', STYLE),
	'/app.js': (req, res) => send(res, 200, 'text/javascript', SCRIPT),
	'/api/state': onState,
	'/headers': onHeaders,
	'/upload': onUpload,
	'/stream': onStream,
	'/big': onBig,
	'/evil': onEvil,
};

function note(req) {
	const file = option('log', '');
	if (file)
		fs.appendFileSync(file, JSON.stringify({ method: req.method, url: req.url,
			headers: req.headers }) + '\n');
}

const server = http.createServer((req, res) => {
	const url = new URL(req.url, 'http://device');
	note(req);
	const handler = routes[url.pathname];
	if (handler)
		handler(req, res, url);
	else
		send(res, 404, 'text/plain', 'This device has no such page.\n');
});
server.requestTimeout = 0;

server.on('upgrade', note);
const sockets = new WebSocketServer({ server, path: '/ws', maxPayload: 1 << 20 });
sockets.on('connection', (socket) => {
	socket.on('message', (data, binary) => socket.send(data, { binary }));
	socket.on('error', () => socket.terminate());
});

server.listen(Number(option('port', '0')), '127.0.0.1', () => {
	const port = String(server.address().port);
	const file = option('port-file', '');
	if (!file) {
		console.log(`${name} listens on http://127.0.0.1:${port}/`);
		return;
	}
	fs.writeFileSync(file + '.new', port + '\n');
	fs.renameSync(file + '.new', file);
});
