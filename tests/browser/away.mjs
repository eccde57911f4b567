// A device that is away: its page says since when, and becomes the device's own page again without
// anybody touching it, on both screens, with scripts and without.
import { check, DESKTOP, equal, PHONE, run, shot, startBrowser, startStack } from './lib.mjs';

const PASSWORD = 'a calm long password';
const stack = await startStack();
const browser = await startBrowser(stack.ca);
const tv = stack.device('tv');
const pages = {};

async function signIn(page) {
	await page.goto(stack.base + '/signin');
	await page.fill('[name=user]', 'admin');
	await page.fill('[name=password]', PASSWORD);
	await page.press('[name=password]', 'Enter');
	await page.waitForURL(stack.base + '/');
}

async function setUp() {
	const page = await (await browser.context(DESKTOP)).newPage();
	await page.goto(stack.setup);
	await page.fill('[name=name]', 'admin');
	await page.fill('[name=password]', PASSWORD);
	await page.fill('[name=password2]', PASSWORD);
	await page.press('[name=password2]', 'Enter');
	await page.waitForURL(stack.base + '/');
	pages.desktop = page;
	for (const [name, kind] of [['phone', PHONE],
		['plain', { ...DESKTOP, javaScriptEnabled: false }]]) {
		pages[name] = await (await browser.context(kind)).newPage();
		await signIn(pages[name]);
	}
	live = await pages.desktop.context().newPage();
	for (const one of [...Object.values(pages), live]) {
		await one.goto(tv + '/');
		equal(await one.textContent('h1'), 'Television', 'title');
	}
}

let live; // a page of the device that was open before

const MINUTES = { hour: '2-digit', minute: '2-digit' };
let stoppedAt;

await setUp();
const tests = [
	['the page says that the device is away, and since when', async () => {
		stoppedAt = Date.now();
		await stack.ctl('stop-agent', 'tv');
		await Promise.all(Object.values(pages).map(async (page) => {
			const answer = await page.goto(tv + '/');
			equal(answer.status(), 503, 'status');
			check(Number(answer.headers()['retry-after']) >= 3, 'Retry-After');
		}));
		for (const name of ['desktop', 'phone']) {
			const page = pages[name];
			await page.waitForSelector('time');
			const told = new Date(await page.getAttribute('time', 'datetime'));
			check(Math.abs(told - stoppedAt) < 10000, `${told}, not ${new Date(stoppedAt)}`);
			const text = await page.innerText('main');
			const clock = await page.evaluate(([at, how]) =>
				new Date(at).toLocaleTimeString([], how), [+told, MINUTES]);
			check(text.includes(`tv has not been reachable since ${clock} (`), text);
			const wide = await page.evaluate(() => document.documentElement.scrollWidth -
				document.documentElement.clientWidth);
			check(wide <= 0, `${wide} pixels too wide`);
			await shot(page, name + '-away');
		}
	}],
	['a script is told by JSON, and when to come again', async () => {
		const told = await live.evaluate(() => fetch('/api/state', { headers:
			{ Accept: 'application/json' } }).then(async (answer) => [answer.status,
			answer.headers.get('retry-after'), await answer.json()]));
		equal(told[0], 503, 'status');
		check(Number(told[1]) >= 3, `Retry-After: ${told[1]}`);
		equal(told[2].error.message, 'The device is away', 'message');
		check(Math.abs(told[2].error.since * 1000 - stoppedAt) < 10000, told[2].error.since);
	}],
	['nobody has to touch the page for the device to come back', async () => {
		await stack.ctl('start-agent', 'tv');
		await Promise.all(Object.values(pages).map((page) => page.waitForFunction(() =>
			document.querySelector('h1')?.textContent === 'Television', null,
		{ timeout: 30000, polling: 200 })));
	}],
];

await run(tests, async () => {
	await browser.close();
	return await stack.stop() === 0;
});
