// The pages against a real gateway, real agents and a real authority: every view, what each control
// does, what changes by itself, and what happens when something fails. Desktop and phone.
import { check, DESKTOP, equal, PHONE, run, shot, startBrowser, startStack } from './lib.mjs';
import { accessible, fits, follow, mark, press, says, shotInBoth, shows, signIn, stayed, useLink }
	from './lib_ui.mjs';
import { accessTests, inBothSchemes } from './lib_ui_access.mjs';

const ADMIN = ['admin', 'a calm long password'];
const ADA = ['ada', 'quite another password'];
const stack = await startStack();
const browser = await startBrowser(stack.ca);
const desk = await browser.context(DESKTOP);
const hand = await browser.context(PHONE);
const adaHand = await browser.context(PHONE);
let page; // of the admin, at the desk
let phone; // of the admin, on the sofa
let ada; // of a person without rights, on a phone

const card = (on, name) => on.locator('section', { has:
	on.getByRole('heading', { name, exact: true }) });
const tile = (on, title) => on.locator('.tile', { hasText: title });
const serialOf = (id) => page.evaluate((wanted) => fetch('/api/v1/certs')
	.then((answer) => answer.json())
	.then((all) => all.certificates.find((one) => one.id === wanted).serial), id);

const begin = [
	['the pages before sign-in are in reach of everybody', async () => {
		const door = await hand.newPage();
		for (const [name, address] of [['setup', stack.setup], ['signin', stack.base + '/people']]) {
			await door.goto(address);
			await fits(door, name);
			await inBothSchemes(door, name, 'phone');
		}
		check(door.url().endsWith('/signin?to=/people'), door.url());
		await door.close();
	}],
	['the one-time link leads to the launcher, which says how each device is', async () => {
		page = await useLink(desk, stack.base, stack.setup, ADMIN[1], ADMIN[0]);
		await shows(page, 'Hello, admin');
		for (const title of ['Television', 'Lamp'])
			await tile(page, title).getByText('Online').waitFor();
		await tile(page, 'Screen').waitFor();
		await fits(page, 'the launcher');
		check(await page.getByRole('link', { name: 'Start', exact: true })
			.getAttribute('aria-current') === 'page', 'the way is not marked');
	}],
	['a deep link asks a stranger to sign in, and leads on', async () => {
		phone = await signIn(hand, stack.base, ADMIN, '/devices');
		await shows(phone, 'Devices');
		await fits(phone, 'the list of devices');
	}],
];

const devices = [
	['a device is added, paired by the code on the page, and arrives by itself', async () => {
		await mark(page);
		await follow(page, 'Devices', 'Devices');
		await follow(page, 'Add a device', 'Add a device');
		await page.getByLabel('What is it called?').fill('Radio');
		equal(await page.getByLabel('Name in the address').inputValue(), 'radio', 'the name');
		await press(page, 'Add the device');
		await shows(page, 'Pair Radio');
		await page.getByRole('img', { name: 'Pairing code for Radio' }).waitFor();
		await says(phone, 'Waiting to be paired');
		const command = await page.getByRole('group', { name: 'the command' }).textContent();
		const token = command.match(/lt1\.[\w-]+/)[0];
		await shot(page, 'desktop-pair');
		await stack.ctl('enrol', 'radio', token);
		await says(page, 'Connected');
		await says(page, 'Has its own certificate');
		await shot(page, 'desktop-paired');
		await stayed(page);
		await page.getByRole('link', { name: 'Open Radio' }).click();
		await page.waitForURL(stack.device('radio') + '/');
		equal(await page.textContent('h1'), 'Radio', 'the page of the device');
		await page.goBack();
	}],
	['a pairing code is not shown twice, a new one is made on demand', async () => {
		const added = await stack.ctl('pair', 'clock', '--title', 'Clock');
		equal(added.code, 0, added.err);
		await phone.goto(stack.base + '/devices/clock/pair');
		await says(phone, 'A code is shown only once');
		await press(phone, 'Make a code');
		await phone.getByRole('img', { name: /Pairing code/ }).waitFor();
		await fits(phone, 'the pairing code');
		await shot(phone, 'phone-pair');
	}],
	['a new title shows everywhere at once', async () => {
		await phone.goto(stack.base + '/');
		await tile(phone, 'Radio').waitFor();
		await mark(phone);
		await page.goto(stack.base + '/devices/radio');
		await says(page, /^from 127\.0\.0\.1, \d+ links? over HTTP\/(2|1\.1)$/);
		await page.getByLabel('Called').fill('Kitchen radio');
		await press(page, 'Rename');
		await shows(page, 'Kitchen radio');
		await tile(phone, 'Kitchen radio').waitFor();
		await stayed(phone);
	}],
	['a device that goes away and comes back is seen to, without a reload', async () => {
		await tile(phone, 'Kitchen radio').getByText('Online').waitFor();
		await stack.ctl('stop-agent', 'radio');
		await tile(phone, 'Kitchen radio').getByText(/Offline since \d\d:\d\d/).waitFor();
		await page.goto(stack.base + '/');
		await tile(page, 'Kitchen radio').getByText('Offline').waitFor();
		await shotInBoth(page, 'launcher');
		await stack.ctl('start-agent', 'radio');
		await tile(phone, 'Kitchen radio').getByText('Online').waitFor();
		await stayed(phone);
	}],
	['removal asks first, gives the focus back on Cancel, and then is done', async () => {
		await page.goto(stack.base + '/devices/clock');
		await press(page, 'Remove Clock');
		await page.getByRole('dialog').waitFor();
		equal(await page.evaluate(() => document.activeElement.textContent), 'Cancel', 'the focus');
		await page.keyboard.press('Enter');
		await page.getByRole('dialog').waitFor({ state: 'detached' });
		equal(await page.evaluate(() => document.activeElement.textContent), 'Remove Clock',
			'the focus after Cancel');
		await press(page, 'Remove Clock');
		await page.getByRole('dialog').getByRole('button', { name: 'Remove', exact: true }).click();
		await shows(page, 'Devices');
		await page.getByRole('link', { name: /Clock/ }).waitFor({ state: 'detached' });
	}],
];

// Last, since no name is ordered twice within a minute.
const certificates = [
	['a certificate is renewed on demand', async () => {
		const before = await serialOf('tv');
		await page.goto(stack.base + '/certificates');
		await mark(page);
		await says(page, /days? of trust without Internet/);
		const it = card(page, `tv.${stack.domain}`);
		await it.getByRole('button').click();
		await page.waitForFunction(async ([id, old]) => {
			const all = await (await fetch('/api/v1/certs')).json();
			const one = all.certificates.find((found) => found.id === id);
			return one.serial !== old && one.state === 'held';
		}, ['tv', before], { polling: 300, timeout: 90000 });
		await it.getByText('Trusted', { exact: true }).waitFor();
		await stayed(page);
		await fits(page, 'the certificates');
		await shot(page, 'desktop-certificates');
	}],
	['a failure is shown with cause, remedy and the next attempt', async () => {
		await stack.ctl('authority', 'busy');
		await phone.goto(stack.base + '/certificates');
		await mark(phone);
		const it = card(page, `lamp.${stack.domain}`);
		await it.getByRole('button').click();
		const seen = card(phone, `lamp.${stack.domain}`);
		await seen.getByText('Trusted, but renewal failed').waitFor();
		/* Within a minute of the last order the gateway itself waits first. */
		await seen.locator('.note', { hasText: /being maintained/ }).waitFor({ timeout: 100000 });
		const note = await seen.locator('.note').textContent();
		for (const words of [/being maintained/, /status page/, /Next attempt in/])
			check(words.test(note), `${words} is not in: ${note}`);
		await shot(phone, 'phone-certificates');
		await stack.ctl('authority', 'pass');
		await stayed(phone);
	}],
];

const people = [
	['a person is invited by a link and sees nothing yet', async () => {
		await follow(page, 'People', 'People');
		await press(page, 'Invite a person');
		await page.getByLabel('Name to sign in with').fill(ADA[0]);
		await page.getByLabel('What they are called (optional)').fill('Ada');
		await press(page, 'Make a link');
		await page.getByRole('heading', { name: 'A link for Ada' }).waitFor();
		const link = await page.getByRole('group', { name: 'the link' }).textContent();
		await shot(page, 'desktop-invite');
		await follow(page, 'Choose their devices', 'Ada');
		await says(page, 'Invited, has not come yet');
		ada = await useLink(adaHand, stack.base, link, ADA[1]);
		await shows(ada, 'Hello, Ada');
		await says(ada, 'No device has been opened to you yet');
		await fits(ada, 'an empty launcher');
		await accessible(ada, 'an empty launcher');
		await ada.goto(stack.base + '/devices');
		await shows(ada, 'Nothing here');
		await ada.goto(stack.base + '/');
	}],
	['a device opened to her appears on her launcher at once', async () => {
		await mark(ada);
		await page.getByLabel('Lamp').click();
		await tile(ada, 'Lamp').waitFor();
		await stayed(ada);
		await phone.goto(stack.base + '/people/ada');
		await card(phone, 'Signed in on').getByRole('button', { name: /^End/ }).first().waitFor();
		await fits(phone, 'a person');
		await shot(phone, 'phone-person');
	}],
	['a session that is ended signs that browser out', async () => {
		const list = card(page, 'Signed in on');
		await list.getByRole('button', { name: /^End:/ }).first().click();
		await ada.waitForURL((url) => url.pathname === '/signin');
		await list.getByText('Nowhere at present').waitFor();
		await shot(page, 'desktop-person');
	}],
	['she chooses another password, and the old one no longer works', async () => {
		await ada.close();
		ada = await signIn(adaHand, stack.base, ADA, '/account');
		await shows(ada, 'Ada');
		await ada.getByLabel('Present password').fill('not the present one');
		await ada.getByLabel('New password').fill('a third password');
		await ada.getByLabel('The new one again').fill('a third password');
		await press(ada, 'Change the password');
		await ada.getByRole('alert').waitFor();
		await ada.getByLabel('Present password').fill(ADA[1]);
		await press(ada, 'Change the password');
		await says(ada, 'Changed.');
		await fits(ada, 'the account');
		await shot(ada, 'phone-account');
		await press(ada, 'Sign out');
		await ada.waitForURL((url) => url.pathname === '/signin');
		ada = await signIn(adaHand, stack.base, [ADA[0], 'a third password'], '/');
	}],
	['a removed person is signed out', async () => {
		await press(page, 'Remove Ada');
		await page.getByRole('dialog').getByRole('button', { name: 'Remove', exact: true }).click();
		await shows(page, 'People');
		await ada.waitForURL((url) => url.pathname === '/signin');
	}],
];

const troubles = [
	['what cannot be had is said, and can be tried again', async () => {
		await page.route('**/api/v1/devices', (route) => route.fulfill({ status: 507,
			json: { error: { code: 'disk_full', message: 'the disk is full',
				remedy: 'Free space and try again' } } }));
		await page.goto(stack.base + '/devices');
		await says(page, 'The disk is full.');
		await accessible(page, 'a failure');
		await page.unroute('**/api/v1/devices');
		await press(page, 'Try again');
		await page.getByRole('link', { name: /Kitchen radio/ }).waitFor();
	}],
	['a slow answer is waited for in words', async () => {
		let release;
		const held = new Promise((resolve) => {
			release = resolve;
		});
		await page.route('**/api/v1/users', async (route) => {
			await held;
			await route.continue();
		});
		await page.goto(stack.base + '/people');
		await shows(page, 'People');
		await page.getByText('Loading…').waitFor({ state: 'attached' });
		await accessible(page, 'a view that loads');
		release();
		await page.getByRole('link', { name: /admin/ }).first().waitFor();
		await page.unroute('**/api/v1/users');
	}],
	['a gateway that is away is said, and its return is noticed', async () => {
		await page.goto(stack.base + '/devices');
		await page.getByRole('link', { name: /Kitchen radio/ }).waitFor();
		await mark(page);
		await stack.ctl('stop-gateway');
		await says(page, 'Connection lost, trying again…');
		await accessible(page, 'a lost connection');
		await shot(page, 'desktop-lost');
		await stack.ctl('start-gateway');
		await page.getByText('Connection lost').waitFor({ state: 'detached' });
		await stayed(page);
	}],
];

const tests = [...begin, ...devices, ...people, ...troubles,
	...accessTests(stack, { page: () => page, phone: () => phone }), ...certificates];

await run(tests, async () => {
	await browser.close();
	return await stack.stop() === 0;
});
