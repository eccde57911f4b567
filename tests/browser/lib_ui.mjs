// What the tests of the pages share: signing in, moving about, and what every view has to keep.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { check, equal, shot } from './lib.mjs';

const AXE = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const WAIT = { timeout: 20000 };

// Signed in, at the path asked for.
export async function signIn(context, base, [name, password], path = '/') {
	const page = await context.newPage();
	await page.goto(base + path);
	await page.fill('[name=user]', name);
	await page.fill('[name=password]', password);
	await page.press('[name=password]', 'Enter');
	await page.waitForURL(base + path);
	return page;
}

// A one-time link (setup or invite) followed to the first page.
export async function useLink(context, base, link, password, name) {
	const page = await context.newPage();
	await page.goto(link);
	if (name)
		await page.fill('[name=name]', name);
	await page.fill('[name=password]', password);
	await page.fill('[name=password2]', password);
	await page.press('[name=password2]', 'Enter');
	await page.waitForURL(base + '/');
	return page;
}

// Through a link of the page itself, to the view with this heading; returns nothing but the view.
export async function follow(page, link, heading) {
	await page.getByRole('link', { name: link, exact: true }).first().click();
	await shows(page, heading);
}

export async function shows(page, heading) {
	await page.getByRole('heading', { level: 1, name: heading, exact: true }).waitFor(WAIT);
}

export async function says(page, text) {
	await page.getByText(text).filter({ visible: true }).first().waitFor(WAIT);
}

// What a button asks, and does not get, is said as a failure.
export async function press(page, name) {
	await page.getByRole('button', { name, exact: true }).filter({ visible: true }).first().click();
}

// The document stays the same one from here on.
export async function mark(page) {
	await page.evaluate(() => {
		window.stayed = true;
	});
}

export async function stayed(page) {
	equal(await page.evaluate(() => window.stayed), true, 'the page was not loaded anew');
}

export async function fits(page, what) {
	const wide = await page.evaluate(() =>
		document.documentElement.scrollWidth - document.documentElement.clientWidth);
	check(wide <= 0, `${what} is ${wide} pixels wider than the screen`);
}

// For the documents: NAME-light.png and NAME-dark.png.
export async function shotInBoth(page, name) {
	const before = page.viewportSize();
	await page.setViewportSize({ width: 1100, height: 520 });
	for (const colorScheme of ['dark', 'light']) {
		await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
		await shot(page, `${name}-${colorScheme}`);
	}
	await page.setViewportSize(before);
}

// No violation by axe, as things stand.
export async function accessible(page, what) {
	await page.evaluate(AXE);
	const found = await page.evaluate(() => window.axe.run({ resultTypes: ['violations'] })
		.then((result) => result.violations.map((one) =>
			`${one.id}: ${one.nodes.map((node) => node.target.join(' ')).join(', ')}`)));
	equal(found.join('; '), '', `axe at ${what}`);
}
