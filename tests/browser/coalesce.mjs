// Two tabs on two devices under one wildcard certificate: browsers ask both over one connection. When a
// connection ends, the WebSockets that ran on it reconnect over what is there, in Chromium and Firefox.
import { check, DESKTOP, equal, run, startBrowser, startStack } from './lib.mjs';
import { startFirefox } from './lib_firefox.mjs';

const PASSWORD = 'a calm long password';
const PATIENCE_MS = 15000;
const stack = await startStack('wildcard');
let current; // what is to be closed in the end

// fn again and again until it gives something true; a page that is just being replaced throws.
async function until(what, fn) {
	const end = Date.now() + PATIENCE_MS;
	let last;
	while (Date.now() < end) {
		last = await fn().catch((error) => { last = error; });
		if (last)
			return last;
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
	throw new Error(`${what}: not in time, last ${last}`);
}

async function submit(page, url, fields) {
	await page.goto(url);
	await page.evaluate((values) => {
		const form = document.querySelector('form');
		for (const [name, value] of Object.entries(values))
			form.elements[name].value = value;
		setTimeout(() => form.requestSubmit());
	}, fields);
	await until('the launcher', () => page.evaluate((base) => location.href === base + '/',
		stack.base));
}

// Connects, and hears its own words; `window.talk` stays open, `window.over` says that it ended. The
// fetch is for Chromium, whose WebSockets run inside HTTP/2 only where a connection is there already.
async function connect(page, text) {
	await page.evaluate(() => fetch('/api/state').then((answer) => answer.status));
	return page.evaluate((words) => new Promise((resolve) => {
		const socket = new WebSocket(location.origin.replace('http', 'ws') + '/ws');
		window.talk = socket;
		window.over = false;
		socket.onopen = () => socket.send(words);
		socket.onmessage = (event) => resolve(event.data);
		socket.onclose = () => { window.over = true; };
		socket.onerror = () => resolve('failed');
	}), text);
}

const isOver = (page) => page.evaluate(() => window.over);

// The device's answers: one of them over its WebSocket, one to a fetch.
async function works(page, what) {
	const heard = await page.evaluate(() => new Promise((resolve) => {
		window.talk.onmessage = (event) => resolve(event.data);
		window.talk.addEventListener('close', () => resolve('closed'));
		window.talk.send('still here');
	}));
	equal(heard, 'still here', `the WebSocket of ${what}`);
	equal(await page.evaluate(() => fetch('/api/state').then((answer) => answer.status)), 200,
		`a fetch of ${what}`);
}

// Numbers of the browser's connections that are open now.
const connections = () => stack.ctl('connections');

// Ends connections one after another until only the last is left; who was on one reconnects.
async function endEachButOne(tabs) {
	let ended = 0;
	const before = await connections();
	for (const one of before.slice(0, -1)) {
		await stack.ctl('cut', one);
		await new Promise((resolve) => setTimeout(resolve, 300));
		for (const [name, page] of Object.entries(tabs)) {
			if (!await isOver(page))
				continue;
			ended++;
			equal(await connect(page, 'hello again'), 'hello again', `${name} reconnects`);
		}
	}
	return ended;
}

function testsOf(name, start) {
	const tabs = {};
	let browser;
	return [
		[`${name}: two tabs on two devices`, async () => {
			browser = current = await start();
			const page = await browser.newPage();
			if (name === 'Chromium')
				await submit(page, stack.setup,
					{ name: 'admin', password: PASSWORD, password2: PASSWORD });
			else
				await submit(page, stack.base + '/signin',
					{ user: 'admin', password: PASSWORD });
			for (const device of ['tv', 'lamp']) {
				tabs[device] = await browser.newPage();
				await tabs[device].goto(stack.device(device) + '/');
				equal(await connect(tabs[device], 'hello'), 'hello', device);
			}
			await page.close();
		}],
		[`${name}: a connection that ends takes no page with it`, async () => {
			const ended = await endEachButOne(tabs);
			for (const [device, page] of Object.entries(tabs))
				await works(page, device);
			return `${ended} reconnected, ${(await connections()).length} connections`;
		}],
		[`${name}: one connection carries both, and when it ends both reconnect`, async () => {
			const left = await connections();
			for (const one of left)
				await stack.ctl('cut', one);
			for (const [device, page] of Object.entries(tabs)) {
				await until(`${device} is cut`, () => isOver(page));
				equal(await connect(page, 'hello'), 'hello', device);
			}
			for (const [device, page] of Object.entries(tabs))
				await works(page, device);
			equal((await connections()).length, 1, 'connections');
		}],
		[`${name}: it ends`, async () => {
			await browser.close();
			current = null;
		}],
	];
}

const chromium = async () => {
	const browser = await startBrowser(stack.ca);
	const context = await browser.context(DESKTOP);
	return { newPage: () => context.newPage(), close: browser.close };
};

await run([...testsOf('Chromium', chromium), ...testsOf('Firefox', () => startFirefox(stack.ca))],
	async () => {
		await current?.close();
		return await stack.stop() === 0;
	});
