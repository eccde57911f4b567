// The main job in Chromium, desktop and phone: no warning, set-up, sign-in, pages, WebSockets, two
// devices at once, what a hostile sibling tries, sign-out.
import { check, DESKTOP, equal, PHONE, run, shot, startBrowser, startStack } from './lib.mjs';

const PASSWORD = 'a calm long password';
const stack = await startStack();
const browser = await startBrowser(stack.ca);
const desktop = await browser.context(DESKTOP);
const phone = await browser.context(PHONE);
let tv;
let lamp;

async function signIn(context) {
	const page = await context.newPage();
	await page.goto(stack.base + '/signin');
	await page.fill('[name=user]', 'admin');
	await page.fill('[name=password]', PASSWORD);
	await page.press('[name=password]', 'Enter');
	await page.waitForURL(stack.base + '/');
	return page;
}

async function fits(page) {
	const wide = await page.evaluate(() =>
		document.documentElement.scrollWidth - document.documentElement.clientWidth);
	check(wide <= 0, `the page is ${wide} pixels wider than the screen`);
}

async function echo(page, text) {
	await page.fill('#text', text);
	await page.click('#talk button');
	await page.waitForFunction((want) => document.querySelector('#echo').textContent === want,
		'Heard back: ' + text);
}

// What a page can do to another origin; each entry is 'sent' or how it ended.
function attack(target) {
	const asked = (path, options) => fetch(target + path, { credentials: 'include', ...options })
		.then((answer) => 'answer ' + answer.status, () => 'refused');
	const socket = () => new Promise((resolve) => {
		const ws = new WebSocket(target.replace('https', 'wss') + '/ws');
		ws.onopen = () => resolve('open');
		ws.onerror = () => resolve('refused');
	});
	return Promise.all([asked('/api/state'), socket(),
		asked('/api/state', { method: 'POST', mode: 'no-cors', body: '{"on":true}' }),
		asked('/api/state', { method: 'POST', body: '{"on":true}' })]);
}

// What a frame of this page shows for `target`: its heading, or "nothing" when the browser was
// told not to show it.
async function embed(page, target) {
	await page.evaluate((url) => new Promise((resolve) => {
		const frame = document.createElement('iframe');
		frame.onload = resolve;
		frame.src = url + '/';
		document.body.append(frame);
	}), target);
	const frame = await (await page.waitForSelector('iframe')).contentFrame();
	return frame.url().startsWith(target) ? frame.textContent('h1') : 'nothing';
}

const tests = [
	['a stranger gets the sign-in page, without a warning', async () => {
		const page = await desktop.newPage();
		const answer = await page.goto(stack.device('tv') + '/');
		equal(answer.status(), 200, 'status');
		check(page.url().startsWith(stack.base + '/signin'), page.url());
		const secure = await answer.securityDetails();
		check(secure && secure.issuer.includes('Pebble'), 'not the lab\'s certificate');
		check(await page.isVisible('[name=password]'), 'no password field');
		await fits(page);
		await shot(page, 'desktop-signin');
		await page.close();
	}],
	['the one-time link makes the first account and leads on', async () => {
		const context = await browser.context(DESKTOP);
		const page = await context.newPage();
		await page.goto(stack.setup);
		await page.fill('[name=name]', 'admin');
		await page.fill('[name=password]', PASSWORD);
		await page.fill('[name=password2]', PASSWORD);
		await shot(page, 'desktop-setup');
		await page.press('[name=password2]', 'Enter');
		await page.waitForURL(stack.base + '/');
		await context.close();
	}],
	['a wrong password is told apart calmly', async () => {
		const context = await browser.context(PHONE);
		const page = await context.newPage();
		await page.goto(stack.base + '/signin');
		await page.fill('[name=user]', 'admin');
		await page.fill('[name=password]', 'not this one');
		await page.press('[name=password]', 'Enter');
		await page.waitForSelector('[role=alert]');
		await shot(page, 'phone-wrong-password');
		await context.close();
	}],
	['sign-in leads to the launcher, which lists both devices', async () => {
		const page = await signIn(desktop);
		for (const name of ['tv', 'lamp'])
			await page.waitForSelector(`a[href^="${stack.device(name)}"]`);
		await fits(page);
		await shot(page, 'desktop-launcher');
		tv = page;
	}],
	['a device\'s page opens from there and works', async () => {
		await tv.click(`a[href^="${stack.device('tv')}"]`);
		await tv.waitForURL(stack.device('tv') + '/');
		await tv.waitForFunction(() => document.querySelector('#word').textContent === 'Off');
		await tv.click('#switch');
		await tv.waitForFunction(() => document.querySelector('#word').textContent === 'On');
		await shot(tv, 'desktop-device');
	}],
	['a WebSocket echoes in the page', async () => {
		await echo(tv, 'hello from the page');
	}],
	['two devices are open at once in two tabs', async () => {
		lamp = await desktop.newPage();
		await lamp.goto(stack.device('lamp') + '/');
		equal(await lamp.textContent('h1'), 'Lamp', 'the second tab');
		await Promise.all([echo(lamp, 'to the lamp'), echo(tv, 'to the tv')]);
		equal(await lamp.textContent('#word'), 'Off', 'the lamp');
		equal(await tv.textContent('#word'), 'On', 'the tv');
	}],
	['a hostile device reaches neither sibling nor gateway', async () => {
		const tried = await tv.evaluate(attack, stack.device('lamp'));
		equal(tried[0], 'refused', 'fetch');
		equal(tried[1], 'refused', 'WebSocket');
		equal(tried[3], 'refused', 'post');
		const atBase = await tv.evaluate(attack, stack.base);
		equal(atBase[0], 'refused', 'fetch from the gateway');
		const state = await lamp.evaluate(() => fetch('/api/state').then((a) => a.json()));
		equal(state.changes, 0, 'changes at the lamp');
	}],
	['a page is embedded by the sibling that its owner named, and by no other', async () => {
		const page = await desktop.newPage();
		await page.goto(stack.device('screen') + '/');
		equal(await page.textContent('h1'), 'Screen', 'alone');
		await page.close();
		equal(await embed(lamp, stack.device('screen')), 'Screen', 'in the lamp\'s page');
		equal(await embed(tv, stack.device('screen')), 'nothing', 'in the tv\'s page');
	}],
	['the phone signs in, and everything fits its screen', async () => {
		const page = await signIn(phone);
		await fits(page);
		await shot(page, 'phone-launcher');
		await page.goto(stack.device('lamp') + '/');
		equal(await page.textContent('h1'), 'Lamp', 'title');
		await echo(page, 'from the phone');
		await fits(page);
		await shot(page, 'phone-device');
		await page.close();
	}],
	['sign-out ends the pages that are open, and only this person\'s', async () => {
		const page = await desktop.newPage();
		await page.goto(stack.base + '/account');
		await page.click('form[action="/signout"] button');
		await page.waitForURL((url) => url.pathname.startsWith('/signin'));
		await tv.waitForFunction(() =>
			document.querySelector('#echo').textContent === 'The connection has ended');
		equal(await tv.evaluate(() => fetch('/api/state').then((a) => a.status)), 401,
			'a fetch of the open page');
		await lamp.goto(stack.device('lamp') + '/');
		check(lamp.url().startsWith(stack.base + '/signin'), lamp.url());
		const other = await phone.newPage();
		await other.goto(stack.device('tv') + '/');
		equal(await other.textContent('h1'), 'Television', 'the phone\'s session');
	}],
];

await run(tests, async () => {
	await browser.close();
	return await stack.stop() === 0;
});
