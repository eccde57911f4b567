// A hostile device's page (packaging/demo/hostile-page.js), opened by an administrator who is
// signed in, tries everything on a sibling and on the gateway. What the sibling's service received
// decides. On a service that no gateway guards the same attacks must arrive, or they prove nothing.
import { check, DESKTOP, equal, run, startBrowser, startStack } from './lib.mjs';

const PASSWORD = 'a calm long password';
const stack = await startStack('hostile');
const browser = await startBrowser(stack.ca);
const context = await browser.context(DESKTOP);
const guest = stack.device('guest');
const tv = stack.device('tv');
const answers = new Map(); // "ORIGIN NAME" → status that came, whatever the page was let see

// What the browser was answered, below all that it hides from the page. Status and address of an
// exchange are told apart, in either order.
async function watch(page) {
	const wire = await context.newCDPSession(page);
	const urls = new Map();
	const statuses = new Map();
	const note = (map, id, value) => {
		map.set(id, value);
		const url = urls.has(id) && statuses.has(id) ? new URL(urls.get(id)) : null;
		if (url?.searchParams.has('attack'))
			answers.set(`${url.origin.replace('wss:', 'https:')} ` +
				url.searchParams.get('attack'), statuses.get(id));
	};
	wire.on('Network.requestWillBeSent', (e) => note(urls, e.requestId, e.request.url));
	wire.on('Network.webSocketCreated', (e) => note(urls, e.requestId, e.url));
	wire.on('Network.responseReceivedExtraInfo', (e) => note(statuses, e.requestId,
		e.statusCode));
	wire.on('Network.webSocketHandshakeResponseReceived', (e) => note(statuses, e.requestId,
		e.response.status));
	await wire.send('Network.enable');
}

context.on('response', (answer) => {
	const url = new URL(answer.url());
	answers.set(`${url.origin} ${url.searchParams.get('attack')}`, answer.status());
});

// All attacks on one origin; those that need a click get one each.
async function attackAll(target, path) {
	const page = await context.newPage();
	await watch(page);
	await page.goto(`${guest}/?${new URLSearchParams({ target, path })}`);
	await page.click('#all');
	await page.waitForSelector('body[data-done]', { timeout: 60000 });
	for (const name of await page.evaluate(() => Object.keys(clicks))) {
		const [popup] = await Promise.all([context.waitForEvent('page'),
			page.click(`[data-attack="${name}"]`)]);
		await popup.waitForLoadState();
		await popup.close();
		await page.waitForFunction((cell) => document.querySelector(cell).textContent !== '…',
			`[data-seen="${name}"]`);
	}
	const seen = await page.$$eval('[data-seen]', (cells) => cells.map((cell) =>
		[cell.dataset.seen, cell.textContent]));
	await page.close();
	return seen;
}

// Requests of an attack that reached a device's service.
function arrived(device, name) {
	return stack.requests(device).filter((request) =>
		new URL(request.url, 'http://device').searchParams.get('attack') === name);
}

function how(origin, name, seen) {
	const status = answers.get(`${origin} ${name}`);
	return `${status ? 'the gateway answered ' + status : 'no answer was seen'}, ` +
		`the page saw "${seen}"`;
}

async function setUp() {
	const page = await context.newPage();
	await page.goto(stack.setup);
	await page.fill('[name=name]', 'admin');
	await page.fill('[name=password]', PASSWORD);
	await page.fill('[name=password2]', PASSWORD);
	await page.press('[name=password2]', 'Enter');
	await page.waitForURL(stack.base + '/');
	for (const device of [tv, guest])
		await page.goto(device + '/');
	return page;
}

const page = await setUp();
const open = `http://127.0.0.1:${stack.services.guest}`;
await attackAll(open, '/api/state');
await attackAll(guest, '/api/state');
const atSibling = await attackAll(tv, '/api/state');
const atGateway = await attackAll(stack.base, '/signout');
const tests = [
	['every attack arrives where no gateway stands', async () => {
		const lost = atSibling.map(([name]) => name).filter((name) => !arrived('guest', name)
			.length);
		equal(lost.join(' '), '', 'attacks that never arrive');
	}],
	...atSibling.map(([name, seen]) => [`on a sibling: ${name} is refused`, async () => {
		equal(arrived('tv', name).length, 0, 'requests that reached the sibling');
		return how(tv, name, seen);
	}]),
	...atGateway.map(([name, seen]) => [`on the gateway: ${name} is refused`, async () => {
		check(!(answers.get(`${stack.base} ${name}`) < 400), how(stack.base, name, seen));
		return how(stack.base, name, seen);
	}]),
	['the person is still signed in, and the sibling as it was', async () => {
		await page.goto(tv + '/');
		await page.waitForFunction(() => document.querySelector('#word').textContent === 'Off');
		await page.goto(stack.base + '/');
		equal(page.url(), stack.base + '/', 'where the launcher leads');
	}],
];

await run(tests, async () => {
	await browser.close();
	return await stack.stop() === 0;
});
