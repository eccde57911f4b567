// What the page of a hostile device tries on another origin, by every way that browsers offer. An
// attack is a function of the address to reach; it resolves to what this page saw of it. Those in
// `clicks` need a person's click, which any page gets sooner or later. "Try all" leaves out the
// schemes below: two of them sign out whoever tries them.
'use strict';

const asked = new URLSearchParams(location.search);
const TARGET = asked.get('target') || location.origin;
const PATH = asked.get('path') || '/api/state';
const SOCKET = asked.get('socket') || '/ws';
const PATIENCE_MS = 1500;
const pit = document.getElementById('pit');

function address(name) {
	return `${TARGET}${PATH}?attack=${name}`;
}

function own(path, to) {
	return `${location.origin}${path}${path.includes('?') ? '&' : '?'}to=${encodeURIComponent(to)}`;
}

function later(text) {
	return new Promise((resolve) => setTimeout(() => resolve(text), PATIENCE_MS));
}

// An element whose loading asks for something; `more` is done to it before it begins.
function element(tag, attributes, more) {
	const e = document.createElement(tag);
	const ended = new Promise((resolve) => {
		e.onload = () => resolve('loaded');
		e.onerror = () => resolve('refused');
	});
	for (const [key, value] of Object.entries(attributes))
		e.setAttribute(key, value);
	if (more)
		more(e);
	pit.append(e);
	return Promise.race([ended, later('no answer')]);
}

function fetched(url, options) {
	return fetch(url, { credentials: 'include', ...options })
		.then((answer) => answer.type === 'opaque' ? 'sent, unread' : 'answer ' + answer.status,
			() => 'refused');
}

function form(url, attributes, target) {
	if (target)
		element('iframe', { name: target });
	const f = document.createElement('form');
	f.action = url;
	for (const [key, value] of Object.entries(attributes))
		f.setAttribute(key, value);
	const query = new URL(url).searchParams; // GET puts the form's fields in place of it
	f.innerHTML = '<input name="{&quot;on&quot;:true,&quot;x&quot;:&quot;" value="&quot;}">' +
		`<input name="attack" value="${query.get('attack')}">`;
	f.target = target || '_blank';
	pit.append(f);
	f.submit();
	return later('sent, unread');
}

function socketOf(name) {
	const url = TARGET.replace('http', 'ws') + SOCKET + '?attack=' + name;
	return new Promise((resolve) => {
		const ws = new WebSocket(url);
		ws.onopen = () => resolve('open');
		ws.onerror = () => resolve('refused');
	});
}

function style(text) {
	pit.append(Object.assign(document.createElement('style'), { textContent: text }));
	pit.append(Object.assign(document.createElement('p'), { className: 'styled',
		textContent: 'styled' }));
	return document.fonts.load('16px stolen').then(() => later('asked'), () => 'refused');
}

function rules(kind, url) {
	const s = document.createElement('script');
	s.type = 'speculationrules';
	s.textContent = JSON.stringify({ [kind]: [{ source: 'list', urls: [url],
		eagerness: 'immediate' }] });
	document.head.append(s);
	return later('asked');
}

function fromWorker(url) {
	const worker = new Worker('/worker.js');
	worker.postMessage(url);
	return Promise.race([later('no answer'),
		new Promise((resolve) => { worker.onmessage = (event) => resolve(event.data); })]);
}

async function fromServiceWorker(url) {
	const at = await navigator.serviceWorker.register('/worker.js', { scope: '/scope/' });
	const worker = at.installing || at.waiting || at.active;
	const heard = new Promise((resolve) => {
		navigator.serviceWorker.onmessage = (event) => resolve(event.data);
	});
	worker.postMessage(url);
	const said = await Promise.race([heard, later('no answer')]);
	await at.unregister();
	return said;
}

function nobody(script) { // a frame without an origin of its own
	return element('iframe', { sandbox: 'allow-scripts allow-forms',
		srcdoc: `<form></form><script>${script}</scr` + 'ipt>' }).then(() => later('asked'));
}

function pinged(url) {
	const a = Object.assign(document.createElement('a'), { href: '#', ping: url });
	pit.append(a);
	a.click();
	return later('asked');
}

function xhr(method, url) {
	return new Promise((resolve) => {
		const x = new XMLHttpRequest();
		x.open(method, url);
		x.withCredentials = true;
		x.onload = () => resolve('answer ' + x.status);
		x.onerror = () => resolve('refused');
		x.send('on');
	});
}

function events(url) {
	return new Promise((resolve) => {
		const source = new EventSource(url, { withCredentials: true });
		source.onopen = () => resolve('open');
		source.onerror = () => { source.close(); resolve('refused'); };
	});
}

const json = { 'Content-Type': 'application/json' };
const attacks = {
	'fetch-get': (u) => fetched(u),
	'fetch-get-blind': (u) => fetched(u, { mode: 'no-cors' }),
	'fetch-post': (u) => fetched(u, { method: 'POST', body: '{"on":true}' }),
	'fetch-post-blind': (u) => fetched(u, { method: 'POST', mode: 'no-cors', body: '{"on":true}' }),
	'fetch-post-json': (u) => fetched(u, { method: 'POST', headers: json, body: '{"on":true}' }),
	'fetch-put': (u) => fetched(u, { method: 'PUT', body: '1' }),
	'fetch-delete': (u) => fetched(u, { method: 'DELETE' }),
	'fetch-field': (u) => fetched(u, { headers: { 'X-Requested-With': 'x' } }),
	'fetch-keepalive': (u) => fetched(u, { method: 'POST', mode: 'no-cors', keepalive: true,
		body: '1' }),
	'fetch-no-referrer': (u) => fetched(u, { method: 'POST', mode: 'no-cors', body: '1',
		referrerPolicy: 'no-referrer' }),
	'xhr-post': (u) => xhr('POST', u),
	'beacon': (u) => navigator.sendBeacon(u, '{"on":true}') ? later('asked') : 'refused',
	'websocket': () => socketOf('websocket'),
	'event-source': (u) => events(u),
	'image': (u) => element('img', { src: u }),
	'script': (u) => element('script', { src: u }),
	'module': (u) => element('script', { src: u, type: 'module', crossorigin: 'use-credentials' }),
	'import': (u) => import(u).then(() => 'loaded', () => 'refused'),
	'style': (u) => element('link', { rel: 'stylesheet', href: u }),
	'style-import': (u) => style(`@import url("${u}");`),
	'style-image': (u) => style(`.styled { background: url("${u}"); }`),
	'font': (u) => style(`@font-face { font-family: stolen; src: url("${u}"); }`),
	'video': (u) => element('video', { src: u, autoplay: '' }),
	'audio': (u) => element('audio', { src: u, autoplay: '' }),
	'object': (u) => element('object', { data: u }),
	'embed': (u) => element('embed', { src: u }),
	'iframe': (u) => element('iframe', { src: u }),
	'prefetch': (u) => element('link', { rel: 'prefetch', href: u }),
	'preload': (u) => element('link', { rel: 'preload', as: 'image', href: u }),
	'module-preload': (u) => element('link', { rel: 'modulepreload', href: u }),
	'speculation-prefetch': (u) => rules('prefetch', u),
	'speculation-prerender': (u) => rules('prerender', u),
	'ping': (u) => pinged(u),
	'worker': (u) => fromWorker(u),
	'service-worker': (u) => fromServiceWorker(u),
	'form-post': (u) => form(u, { method: 'post' }, 'frame-post'),
	'form-post-text': (u) => form(u, { method: 'post', enctype: 'text/plain' }, 'frame-text'),
	'form-get': (u) => form(u, { method: 'get' }, 'frame-get'),
	'nobody-form': (u) => nobody(`const f = document.forms[0]; f.method = 'post'; f.action =
		'${u}'; f.submit()`),
	'nobody-fetch': (u) => nobody(`fetch('${u}', { method: 'POST', mode: 'no-cors',
		credentials: 'include', body: '1' })`),
	'bounce-post': (u) => fetched(own('/bounce?status=307', u), { method: 'POST', mode: 'no-cors',
		body: '1' }),
	'bounce-image': (u) => element('img', { src: own('/bounce?status=302', u) }),
	'bounce-frame': (u) => element('iframe', { src: own('/bounce?status=302', u) }),
	'bounce-form': (u) => form(own('/bounce?status=308', u), { method: 'post' }, 'frame-bounce'),
	'link-field': (u) => element('iframe', { src: own('/linked', u) }).then(() => later('asked')),
	'policy-report': (u) => element('iframe', { src: own('/reported', u) })
		.then(() => later('asked')),
};

const clicks = {
	'form-post-window': (u) => form(u, { method: 'post' }),
	'bounce-form-window': (u) => form(own('/bounce?status=307', u), { method: 'post' }),
};

// Schemes against what this device shares with its siblings: cookies of the domain, windows, frames,
// the paths of the gateway. They resolve to what came of it.
const PARENT = location.hostname.replace(/^[^.]*\./, '');
const FORGED = ['__Host-lanthorn=forged; Domain=PARENT; Secure; Path=/',
	'__Host-ls=forged; Domain=PARENT; Secure; Path=/', '__Host-lanthorn=forged; Secure; Path=/',
	'=__Host-lanthorn=forged; Domain=PARENT; Path=/', '__host-lanthorn=forged; Domain=PARENT',
	'\u00a0__Host-lanthorn=forged; Domain=PARENT; Path=/',
	'\u2000__Host-lanthorn=forged; Domain=PARENT; Path=/',
	'$Version=1,__Host-lanthorn=forged; Domain=PARENT; Path=/',
];

function cookies(n, bytes) {
	for (let i = 0; i < n; i++)
		document.cookie = `flood${i}=${'x'.repeat(bytes)}; Domain=${PARENT}; Path=/; Secure`;
	return document.cookie.length + ' bytes of cookies';
}

function scope(script, within) {
	return navigator.serviceWorker.register(script, { scope: within })
		.then((at) => at.unregister().then(() => 'registered'), (error) => error.name);
}

function reach(other) { // into a window or a frame of another origin
	try {
		return `read "${other.document.title}"`;
	} catch (error) {
		return error.name;
	}
}

async function framed(url) {
	const frame = document.createElement('iframe');
	frame.src = url;
	pit.append(frame);
	await later();
	frame.contentWindow.postMessage('from a hostile page', '*');
	return reach(frame.contentWindow);
}

async function opened(url) {
	const other = open(url);
	await later();
	for (let i = 0; i < 3; i++)
		other.postMessage('from a hostile page', '*');
	return other.closed ? 'the window is out of reach' : reach(other);
}

function related() {
	try {
		document.domain = PARENT;
		return 'document.domain is ' + document.domain;
	} catch (error) {
		return error.name;
	}
}

async function split(kind) {
	const first = await fetched('/raw?how=' + kind);
	const next = await fetch('/next').then((answer) => answer.text(), () => 'refused');
	return `${first}, then ${next.trim()}`;
}

const schemes = {
	'cookie-of-the-parent': () => {
		document.cookie = `tossed=1; Domain=${PARENT}; Path=/; Secure`;
		return document.cookie.includes('tossed') ? 'kept' : 'refused';
	},
	'cookies-of-the-gateway': () => {
		for (const cookie of FORGED)
			document.cookie = cookie.replace('PARENT', PARENT);
		return document.cookie;
	},
	'cookie-flood': () => cookies(400, 10),
	'cookie-bomb': () => cookies(40, 4000),
	'fields': () => fetched('/forged?domain=' + PARENT),
	'domain': related,
	'worker-above-its-folder': () => scope('/deep/worker.js', '/'),
	'worker-of-the-gateway': () => scope('/.lanthorn/worker.js', '/.lanthorn/'),
	'worker-that-stays': () => navigator.serviceWorker.register('/ghost.js')
		.then(() => navigator.serviceWorker.ready).then(() => 'registered'),
	'path-of-the-gateway': () => fetched('/.lanthorn/anything'),
	'frame': () => framed(TARGET + '/'),
	...Object.fromEntries(['second', 'cr', 'nul', 'fold', 'lengths', 'both'].map((kind) =>
		['split-' + kind, () => split(kind)])),
};

// These need a click as well.
const windows = {
	'window': () => opened(TARGET + '/'),
	'window-by-bounce': () => opened(own('/bounce?status=302', TARGET + '/')),
	'bounce-to-the-gateway': () => opened(own('/bounce?status=302',
		TARGET + '/.lanthorn/cb?code=AAAAAAAAAAAAAAAAAAAAAA&to=/')),
	'link': () => opened(TARGET + '/?attack=link'),
};

async function attempt(name, fn) {
	const cell = document.querySelector(`[data-seen="${name}"]`);
	cell.textContent = '…';
	try {
		cell.textContent = await fn(address(name));
	} catch (error) {
		cell.textContent = `refused (${error.message})`;
	}
}

function row(name, fn) {
	const tr = document.createElement('tr');
	tr.innerHTML = `<td><button type="button" data-attack="${name}">${name}</button></td>` +
		`<td data-seen="${name}"></td>`;
	tr.querySelector('button').onclick = () => attempt(name, fn);
	document.getElementById('rows').append(tr);
}

document.getElementById('target').textContent = TARGET;
for (const [name, fn] of [attacks, clicks, schemes, windows].flatMap(Object.entries))
	row(name, fn);
document.getElementById('all').onclick = async () => {
	await Promise.all(Object.entries(attacks).map(([name, fn]) => attempt(name, fn)));
	document.body.dataset.done = 'yes';
};
