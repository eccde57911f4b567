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
	if (url.searchParams.has('attack'))
		answers.set(`${url.origin} ${url.searchParams.get('attack')}`, answer.status());
});

// All attacks on one origin, by the page that `from` serves; those that need a click get one each.
async function attackAll(target, path, from = guest) {
	const page = await context.newPage();
	await watch(page);
	await page.goto(`${from}/?${new URLSearchParams({ target, path })}`);
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
	const seen = await page.evaluate(() => Object.keys({ ...attacks, ...clicks }).map((name) =>
		[name, document.querySelector(`[data-seen="${name}"]`).textContent]));
	await page.close();
	return seen;
}

// One of the page's schemes; the windows need a click, and are handed back.
async function scheme(page, name) {
	await page.click(`[data-attack="${name}"]`);
	await page.waitForFunction((cell) => !['…', ''].includes(
		document.querySelector(cell).textContent), `[data-seen="${name}"]`);
	return page.textContent(`[data-seen="${name}"]`);
}

async function popup(page, name) {
	const [other, seen] = await Promise.all([context.waitForEvent('page'), scheme(page, name)]);
	return [other, seen];
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

async function signIn(page) {
	await page.goto(stack.base + '/signin');
	if (page.url() === stack.base + '/')
		return;
	await page.fill('[name=user]', 'admin');
	await page.fill('[name=password]', PASSWORD);
	await page.press('[name=password]', 'Enter');
	await page.waitForURL(stack.base + '/');
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
const unguarded = `http://127.0.0.1:${stack.services.guest}`;
await attackAll(unguarded, '/api/state');
await attackAll(guest, '/api/state');
await attackAll(tv, '/api/state', unguarded);
const elsewhere = new Map([...answers].filter(([key]) => key.startsWith(tv)));
const atSibling = await attackAll(tv, '/api/state');
const atGateway = await attackAll(stack.base, '/signout');
const hostile = await context.newPage();
await hostile.goto(`${guest}/?${new URLSearchParams({ target: tv })}`);

// A small table of schemes whose end the page itself sees.
const ends = [
	['a device cannot relax the origin of its pages', 'domain',
		/^(SecurityError|document.domain is guest\..*)$/],
	['a service worker stays in its folder', 'worker-above-its-folder', /^SecurityError$/],
	['a service worker cannot live in the gateway\'s paths', 'worker-of-the-gateway',
		/^TypeError$/],
	['the gateway\'s paths are never forwarded', 'path-of-the-gateway', /^answer 404$/],
	['a sibling cannot be framed and read', 'frame', /^SecurityError$/],
	['a second answer behind the first is nobody\'s', 'split-second', /, then anything$/],
	...['cr', 'nul', 'fold', 'lengths', 'both'].map((kind) => [
		`an answer split by "${kind}" is refused`, 'split-' + kind,
		/^answer 502, then anything$/]),
];

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
	['a web page of elsewhere reaches nothing either', async () => {
		const wrong = [...elsewhere].filter(([, status]) => status !== 403);
		equal(wrong.join(' '), '', 'answers other than 403');
		check(elsewhere.size > 40, `${elsewhere.size} answers were seen`);
		return `${elsewhere.size} times the gateway answered 403`;
	}],
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
	...ends.map(([promise, name, end]) => [promise, async () => {
		const seen = await scheme(hostile, name);
		check(end.test(seen), seen);
		return seen;
	}]),
	['fields of a device that would act on its siblings are dropped', async () => {
		const [answer] = await Promise.all([hostile.waitForResponse(/forged/),
			scheme(hostile, 'fields')]);
		const fields = await answer.headersArray();
		const of = (name) => fields.filter((field) => field.name.toLowerCase() === name)
			.map((field) => field.value).join(' | ');
		equal(of('set-cookie'), 'own=1; Path=/', 'Set-Cookie');
		equal(of('strict-transport-security'), 'max-age=15552000', 'HSTS');
		equal(of('cross-origin-resource-policy'), 'same-origin', 'CORP');
		for (const name of ['alt-svc', 'clear-site-data', 'service-worker-allowed', 'nel',
			'report-to', 'reporting-endpoints'])
			equal(of(name), '', name);
	}],
	['a device cannot toss the gateway\'s cookies', async () => {
		const kept = await scheme(hostile, 'cookies-of-the-gateway');
		await page.goto(tv + '/');
		equal(await page.textContent('h1'), 'Television', 'the sibling\'s page');
		await page.goto(stack.base + '/');
		equal(page.url(), stack.base + '/', 'where the launcher leads');
		const names = (stack.requests('tv').at(-1).headers.cookie ?? '').split('; ')
			.map((pair) => pair.split('=')[0]);
		check(!names.includes('__Host-lanthorn'), names.join());
		return `the browser kept "${kept}"`;
	}],
	['of a cookie for the whole domain siblings see just that (a known rest)', async () => {
		equal(await scheme(hostile, 'cookie-of-the-parent'), 'kept', 'the browser');
		await page.goto(tv + '/');
		equal(await page.textContent('h1'), 'Television', 'the sibling\'s page');
	}],
	['an opened sibling is out of its opener\'s reach', async () => {
		for (const name of ['window', 'window-by-bounce']) {
			const [other, seen] = await popup(hostile, name);
			equal(await other.textContent('h1'), 'Television', name);
			equal(seen, 'the window is out of reach', name);
			check(await other.evaluate(() => window.opener === null), 'an opener');
			await other.close();
		}
	}],
	['a plain link opens a sibling, and says only from which host (a known rest)', async () => {
		const [other] = await popup(hostile, 'link');
		await other.close();
		const [request] = arrived('tv', 'link');
		equal(request.method, 'GET', 'method');
		equal(request.headers.referer, guest + '/', 'Referer');
	}],
	['a guessed sign-in code ends in words', async () => {
		const [other] = await popup(hostile, 'bounce-to-the-gateway');
		equal(await other.textContent('h1'), 'That took a little too long', 'the page');
		await other.goto(tv + '/');
		equal(await other.textContent('h1'), 'Television', 'the session');
		await other.close();
	}],
	['an address with a secret is not told to the device that a page leads to', async () => {
		await page.goto(tv + '/?secret=1');
		await page.evaluate((to) => { location = to; }, guest + '/?attack=referer');
		await page.waitForURL(/referer/);
		equal(arrived('guest', 'referer').at(-1).headers.referer, tv + '/', 'Referer');
	}],
	['a name rebound to the gateway gets no certificate, and 421 without TLS', async () => {
		const rebound = await startBrowser(stack.ca,
			'--host-resolver-rules=MAP rebound.example 127.0.0.1');
		const own = await rebound.context(DESKTOP);
		const failed = await (await own.newPage()).goto(`https://rebound.example:${stack.port}/`)
			.then(() => 'answered', (error) => error.message);
		const answer = await (await own.newPage()).goto(
			`http://rebound.example:${stack.http_port}/`);
		await rebound.close();
		check(failed.includes('ERR_SSL_UNRECOGNIZED_NAME_ALERT'), failed);
		equal(answer.status(), 421, 'status by http');
	}],
	['too many cookies sign out, and no more', async () => {
		// A head of that size ends a connection of HTTP/2, as its framing has no room for it.
		const old = await startBrowser(stack.ca, '--disable-http2');
		const own = await (await old.context(DESKTOP)).newPage();
		await signIn(own);
		await own.goto(guest + '/');
		await scheme(own, 'cookie-flood');
		await own.goto(stack.base + '/');
		const flooded = own.url();
		await signIn(own);
		await own.goto(guest + '/');
		await scheme(own, 'cookie-bomb');
		const answer = await own.goto(stack.base + '/');
		equal(answer.status(), 431, 'the first answer');
		await signIn(own);
		equal((await own.context().cookies(guest)).filter((one) => one.name.startsWith('flood'))
			.length, 0, 'cookies that are left');
		await own.goto(tv + '/');
		equal(await own.textContent('h1'), 'Television', 'the sibling\'s page');
		await old.close();
		return `after the flood the launcher is at ${flooded.replace(stack.base, '')}`;
	}],
	['what a device left in a browser is gone when its name has a new owner', async () => {
		equal(await scheme(hostile, 'worker-that-stays'), 'registered', 'the worker');
		await hostile.evaluate(() => localStorage.setItem('left', 'behind'));
		await hostile.goto(guest + '/');
		equal(await hostile.textContent('h1'), 'Ghost', 'the old device\'s worker');
		await stack.ctl('replace', 'guest');
		const looks = [];
		for (let i = 0; i < 20 && looks.at(-1) !== 'guest'; i++) {
			await hostile.goto(guest + '/');
			looks.push(await hostile.textContent('h1'));
			await hostile.waitForTimeout(500);
		}
		equal(looks.at(-1), 'guest', 'the new device\'s page');
		equal(await hostile.evaluate(() => localStorage.getItem('left')), null, 'what was left');
		return looks.join();
	}],
];

await run(tests, async () => {
	await browser.close();
	return await stack.stop() === 0;
});
