// The gateway's event stream: it says what has changed, and the cache reads that again. Open only
// while the page can be seen, because a browser has few connections for one host.
import { useEffect, useState } from 'preact/hooks';
import { refresh } from './cache.ts';
import { call } from './client.ts';

const RETRY_MS = 10_000;
const PATIENCE_MS = 1500; // a hiccup shorter than this is nobody's business

// What each word of an event means for the cache.
const prefixes: Record<string, readonly string[]> = {
	launcher: ['/launcher'],
	me: ['/me'],
	devices: ['/devices'],
	certificates: ['/certs', '/devices'],
	people: ['/users'],
	status: ['/status'],
};

let source: EventSource | null = null;
let timer = 0;
let lost = false;
const listeners = new Set<(lost: boolean) => void>();

function setLost(now: boolean): void {
	lost = now;
	for (const listener of listeners)
		listener(now);
}

function onChange(event: MessageEvent<string>): void {
	const said: { what?: unknown } = JSON.parse(event.data);
	const words: unknown[] = Array.isArray(said.what) ? said.what : [];
	for (const word of words)
		for (const prefix of prefixes[String(word)] ?? [])
			refresh(prefix);
}

function onOpen(): void {
	clearTimeout(timer);
	timer = 0;
	setLost(false);
	refresh(); // what changed before the stream was there has been said to nobody
}

// The browser tries again by itself, except after an answer that was not a stream.
function onError(): void {
	if (!timer)
		timer = window.setTimeout(onPatienceEnd, PATIENCE_MS);
}

function onPatienceEnd(): void {
	timer = 0;
	setLost(true);
	if (source?.readyState !== EventSource.CLOSED)
		return;
	timer = window.setTimeout(connect, RETRY_MS);
	call('get', '/me').catch(() => {}); // signed out? then the client leads to sign-in
}

function connect(): void {
	disconnect();
	source = new EventSource('/api/v1/events');
	source.addEventListener('open', onOpen);
	source.addEventListener('error', onError);
	source.addEventListener('change', onChange);
}

function disconnect(): void {
	clearTimeout(timer);
	timer = 0;
	source?.close();
	source = null;
}

function onVisibility(): void {
	if (document.visibilityState === 'hidden') {
		disconnect();
	} else if (!source) {
		connect();
	}
}

export function startLive(): void {
	document.addEventListener('visibilitychange', onVisibility);
	if (document.visibilityState === 'visible')
		connect();
}

export function useLost(): boolean {
	const [now, setNow] = useState(lost);
	useEffect(() => {
		listeners.add(setNow);
		return () => {
			listeners.delete(setNow);
		};
	}, []);
	return now;
}
