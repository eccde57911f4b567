// A hostile device: its page tries to reach a sibling, or the gateway, through the browser of
// whoever looks at it. What it tries is in hostile-page.js; here is what such a device's server
// adds: forged fields, redirects, answers that are two. Usage:
//   node hostile.js --name Guest [--port N] [--port-file FILE] [--log FILE]
// and then open https://GUEST/?target=https://SIBLING in a browser that is signed in. The log has
// a line of JSON for each request, as that of device.js has: the sibling's must have none.
'use strict';

const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');

function option(name, fallback) {
	const at = process.argv.indexOf('--' + name);
	return at > 0 && at + 1 < process.argv.length ? process.argv[at + 1] : fallback;
}

const name = option('name', 'Guest');
const SCRIPT = fs.readFileSync(path.join(__dirname, 'hostile-page.js'));

const PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>A hostile device</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 720px; margin: 24px auto;
	padding: 0 16px; }
table { width: 100%; border-collapse: collapse; }
td { border-top: 1px solid #8884; padding: 6px 8px 6px 0; vertical-align: top; }
button { font: inherit; min-height: 36px; }
#pit { position: absolute; left: -9999px; width: 1px; height: 1px; overflow: hidden; }
</style></head>
<body><h1>A hostile device</h1>
<p>This page attacks <b id="target"></b> with your browser. What it sees of an attack is in the
table; what truly arrived, the attacked device knows. Nothing but plain links should.</p>
<p><button id="all" type="button">Try all of them</button></p>
<table><tbody id="rows"></tbody></table><div id="pit"></div>
<script src="/hostile-page.js"></script></body></html>
`;

// A worker in a file of its own: of a service worker's scope, and of who asks.
const WORKER = `
self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
self.addEventListener('message', (event) => {
	const ask = fetch(event.data, { method: 'POST', mode: 'no-cors', credentials: 'include',
		body: 'from a worker' }).then(() => 'sent', () => 'refused');
	const tell = (text) => (event.source || self).postMessage(text);
	const work = ask.then(tell);
	if (event.waitUntil)
		event.waitUntil(work);
});
`;

// Fields that would act beyond this device's own host.
const FORGED = {
	'Set-Cookie': ['own=1; Path=/', 'parent=header; Domain=DOMAIN; Path=/; Secure',
		'__Host-lanthorn=forged; Secure; Path=/', '__Host-ls=forged; Secure; Path=/',
		' __Host-lanthorn=forged; Secure; Path=/', '=__Host-lanthorn=forged; Secure; Path=/',
		'parent2=header; path=/;dOmAiN = DOMAIN'],
	'Clear-Site-Data': '"*"',
	'Strict-Transport-Security': 'max-age=0; includeSubDomains',
	'Alt-Svc': 'h3=":1"; ma=86400; persist=1',
	'Service-Worker-Allowed': '/',
	'Reporting-Endpoints': 'default="https://DOMAIN/signout"',
	'Report-To': '{"group":"default","max_age":1,"endpoints":[{"url":"https://DOMAIN/"}]}',
	'NEL': '{"report_to":"default","max_age":1}',
};

// Bytes in place of an answer: two answers, a field that ends a line in the middle, two lengths.
const RAW = {
	second: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n' +
		'Set-Cookie: split=1\r\nContent-Length: 5\r\n\r\nsplit',
	cr: 'HTTP/1.1 200 OK\r\nX-A: a\rSet-Cookie: split=1\r\nContent-Length: 2\r\n\r\nok',
	nul: 'HTTP/1.1 200 OK\r\nX-A: a\0b\r\nSet-Cookie: split=1\r\nContent-Length: 2\r\n\r\nok',
	fold: 'HTTP/1.1 200 OK\r\nX-A: a\r\n Set-Cookie: split=1\r\nContent-Length: 2\r\n\r\nok',
	lengths: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 60\r\n\r\nok' +
		'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsplit',
	both: 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' +
		'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsplit',
};

function send(res, status, type, body, fields) {
	res.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store',
		'Cross-Origin-Opener-Policy': 'unsafe-none', 'Access-Control-Allow-Origin': '*',
		...fields });
	res.end(body);
}

function note(req) {
	const file = option('log', '');
	if (file)
		fs.appendFileSync(file, JSON.stringify({ method: req.method, url: req.url,
			headers: req.headers }) + '\n');
}

function forged(res, domain) {
	const fields = JSON.stringify(FORGED).replaceAll('DOMAIN', domain);
	for (const [key, value] of Object.entries(JSON.parse(fields)))
		res.setHeader(key, value);
	send(res, 200, 'text/plain', 'forged');
}

// A worker that answers for the whole host, and would for the device that has the name next.
const GHOST = `
self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('fetch', (event) => {
	if (event.request.mode === 'navigate')
		event.respondWith(new Response('<title>Ghost</title><h1>Ghost</h1>',
			{ headers: { 'Content-Type': 'text/html' } }));
});
`;

const PIXEL = '<img src="/pixel" alt="">';
const routes = {
	'/': (res) => send(res, 200, 'text/html; charset=utf-8', PAGE),
	'/hostile-page.js': (res) => send(res, 200, 'text/javascript', SCRIPT),
	'/worker.js': (res) => send(res, 200, 'text/javascript', WORKER),
	'/deep/worker.js': (res) => send(res, 200, 'text/javascript', WORKER,
		{ 'Service-Worker-Allowed': '/' }),
	'/ghost.js': (res) => send(res, 200, 'text/javascript', GHOST),
	'/forged': (res, asked) => forged(res, asked.get('domain')),
	'/bounce': (res, asked) => send(res, Number(asked.get('status')), 'text/plain', '',
		{ Location: asked.get('to') }),
	'/linked': (res, asked) => send(res, 200, 'text/html', '<p>linked',
		{ Link: `<${asked.get('to')}>; rel=preload; as=image` }),
	'/reported': (res, asked) => send(res, 200, 'text/html', PIXEL,
		{ 'Content-Security-Policy': `img-src 'none'; report-uri ${asked.get('to')}` }),
	'/raw': (res, asked) => res.socket.end(RAW[asked.get('how')]),
};

const server = http.createServer((req, res) => {
	const url = new URL(req.url, 'http://device');
	note(req);
	req.resume();
	const handler = routes[url.pathname];
	if (handler)
		handler(res, url.searchParams);
	else
		send(res, 200, 'text/plain', 'anything\n');
});
server.on('upgrade', (req, socket) => {
	note(req);
	socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n');
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
