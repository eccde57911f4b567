// The pages by keyboard alone, and by axe: every view on both screens in both schemes.
import { check, equal, shot } from './lib.mjs';
import { accessible, fits, press, shows } from './lib_ui.mjs';

const VIEWS = [['home', '/', 'Hello, admin'], ['devices', '/devices', 'Devices'],
	['device', '/devices/tv', 'Television'], ['add', '/add', 'Add a device'],
	['pair', '/devices/radio/pair', 'Pair Kitchen radio'],
	['certificates', '/certificates', 'Certificates'], ['people', '/people', 'People'],
	['person', '/people/admin', 'admin'], ['account', '/account', 'admin'],
	['nothing', '/people/nobody', 'Nothing here']];

const focused = (page) => page.evaluate(() => document.activeElement.textContent.trim());

async function tabTo(page, words) {
	for (let i = 0; i < 40; i++) {
		await page.keyboard.press('Tab');
		if (await focused(page) === words)
			return;
	}
	throw new Error(`Tab does not reach "${words}"`);
}

export async function inBothSchemes(page, name, screen) {
	for (const colorScheme of ['light', 'dark']) {
		await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
		await accessible(page, `${name}, ${screen}, ${colorScheme}`);
		await shot(page, `${screen}-${colorScheme}-${name}`);
	}
}

async function everyView(page, base, screen) {
	for (const [name, path, heading] of VIEWS) {
		await page.goto(base + path);
		await shows(page, heading);
		await page.locator('.ghost').first().waitFor({ state: 'detached' });
		await fits(page, name);
		await inBothSchemes(page, name, screen);
	}
	await page.goto(base + '/people');
	await press(page, 'Invite a person');
	await inBothSchemes(page, 'dialog', screen);
	await page.keyboard.press('Escape');
}

async function byKeyboard(page, base) {
	await page.goto(base + '/');
	await shows(page, 'Hello, admin');
	await tabTo(page, 'Skip to the content');
	await tabTo(page, 'People');
	await page.keyboard.press('Enter');
	await shows(page, 'People');
	equal(await focused(page), 'People', 'the focus after a change of view');
	await tabTo(page, 'Invite a person');
	await page.keyboard.press('Enter');
	await page.getByRole('dialog').waitFor();
	for (let i = 0; i < 8; i++) {
		await page.keyboard.press('Tab');
		check(await page.evaluate(() => document.activeElement === document.body ||
			document.activeElement.closest('dialog') !== null), 'the focus left the dialog');
	}
	await page.keyboard.press('Escape');
	await page.getByRole('dialog').waitFor({ state: 'detached' });
	equal(await focused(page), 'Invite a person', 'the focus after Escape');
	await page.goBack();
	await shows(page, 'Hello, admin');
}

// `pages`: functions, since the pages are opened by the tests before.
export function accessTests(stack, pages) {
	return [
		['everything is in reach of the keyboard', () => byKeyboard(pages.page(), stack.base)],
		['axe finds nothing on the wide screen', () =>
			everyView(pages.page(), stack.base, 'desktop')],
		['axe finds nothing on the phone', () => everyView(pages.phone(), stack.base, 'phone')],
	];
}
