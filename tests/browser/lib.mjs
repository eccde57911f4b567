// What the browser tests share: the stack, Chromium with the lab's authority in its store, TAP.
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { chromium } from 'playwright-core';

const HERE = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const ARGS = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-component-update',
	'--disable-background-networking', '--disable-sync'];

export const DESKTOP = { viewport: { width: 1280, height: 800 } };
export const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true,
	deviceScaleFactor: 2 };

export function check(claim, words) {
	if (!claim)
		throw new Error(words);
}

export function equal(found, expected, what) {
	check(found === expected, `${what}: ${JSON.stringify(found)}, expected ` +
		JSON.stringify(expected));
}

// The stack of stack.py, which takes `words`. `ctl` runs lanthornctl or a verb of stack.py,
// `requests` is what reached a device, `stop` resolves to the exit code.
export async function startStack(...words) {
	const child = spawn('python3', [path.join(HERE, 'stack.py'), ...words],
		{ stdio: ['pipe', 'pipe', 'inherit'] });
	const ended = new Promise((resolve) => child.on('exit', (code) => resolve(code ?? 1)));
	const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]();
	const first = await lines.next();
	check(!first.done, 'the stack did not come up');
	const stack = JSON.parse(first.value);
	stack.base = `https://${stack.domain}:${stack.port}`;
	stack.device = (name) => `https://${name}.${stack.domain}:${stack.port}`;
	stack.ctl = async (...args) => {
		child.stdin.write(JSON.stringify(args) + '\n');
		return JSON.parse((await lines.next()).value);
	};
	stack.requests = (name) => fs.readFileSync(`${stack.folder}/${name}.requests`, 'utf8')
		.trim().split('\n').filter(Boolean).map((line) => JSON.parse(line));
	stack.stop = () => {
		child.stdin.end();
		return ended;
	};
	return stack;
}

// Chromium whose home trusts the authority `ca` and nothing else of ours; `more`: its arguments.
export async function startBrowser(ca, ...more) {
	const home = fs.mkdtempSync(path.join(os.tmpdir(), 'lanthorn-browser.'));
	const store = path.join(home, '.pki/nssdb');
	fs.mkdirSync(store, { recursive: true });
	execFileSync('certutil', ['-d', `sql:${store}`, '-N', '--empty-password']);
	execFileSync('certutil', ['-d', `sql:${store}`, '-A', '-t', 'C,,', '-n', 'lab', '-i', ca]);
	const args = [...ARGS, ...more, ...process.getuid() === 0 ? ['--no-sandbox'] : []];
	const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args,
		env: { ...process.env, HOME: home } });
	return {
		context: (kind) => browser.newContext(kind),
		close: async () => {
			await browser.close();
			fs.rmSync(home, { recursive: true, force: true });
		},
	};
}

export async function shot(page, name) {
	const folder = process.env.SHOTS;
	if (!folder)
		return;
	fs.mkdirSync(folder, { recursive: true });
	await page.screenshot({ path: path.join(folder, name + '.png') });
}

// tests: pairs of a promise and an async function; words that one resolves to say how it was kept.
// Prints TAP and exits.
export async function run(tests, tearDown) {
	let failed = 0;
	console.log(`1..${tests.length + 1}`);
	for (const [number, [name, fn]] of tests.entries()) {
		try {
			const how = await fn();
			console.log(`ok ${number + 1} - ${name}${how ? ': ' + how : ''}`);
		} catch (error) {
			failed++;
			console.log(`not ok ${number + 1} - ${name}`);
			console.log(String(error.stack ?? error).replace(/^/gm, '# '));
		}
	}
	const clean = await tearDown();
	console.log(`${clean ? 'ok' : 'not ok'} ${tests.length + 1} - every program ends cleanly`);
	process.exit(failed || !clean ? 1 : 0);
}
