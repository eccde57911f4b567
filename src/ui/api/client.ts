// Calls of the gateway's API, typed by its OpenAPI document (gen.ts).
import type { paths } from './gen.ts';

const DEADLINE_MS = 20_000;

export type Verb = 'get' | 'post' | 'put' | 'patch' | 'delete';
export type PathOf<V extends Verb> = {
	[P in keyof paths]: paths[P] extends Record<V, unknown> ? P : never
}[keyof paths];
type Op<P extends keyof paths, V extends Verb> = paths[P] extends Record<V, infer O> ? O : never;
type Params<Op> = Op extends { parameters: { path: infer P } } ? P : undefined;
type Body<Op> = Op extends { requestBody: { content: { 'application/json': infer B } } } ? B
	: undefined;
type Good<R> = { [S in keyof R]: S extends 'default' ? never : R[S] }[keyof R];
type Content<R> = R extends { content: { 'application/json': infer A } } ? A : undefined;
export type Answer<P extends keyof paths, V extends Verb> =
	Op<P, V> extends { responses: infer R } ? Content<Good<R>> : never;
export interface Call<P extends keyof paths, V extends Verb> {
	params: Params<Op<P, V>>;
	body: Body<Op<P, V>>;
}

// Why a call failed, in words for people. status 0: the gateway was not reached.
export class Failure extends Error {
	constructor(readonly status: number, readonly code: string, message: string,
		readonly remedy: string | null) {
		super(message);
	}
}

const unreachable = () => new Failure(0, 'unreachable', 'The gateway does not answer',
	'Check that this device is in the home network, then try again.');

function textOf(of: unknown, key: string): string | null {
	const value: unknown = of && typeof of === 'object' ? Reflect.get(of, key) : null;
	return typeof value === 'string' && value ? value : null;
}

async function failureOf(answer: Response): Promise<Failure> {
	const body: unknown = await answer.json().catch(() => null);
	const error: unknown = body && typeof body === 'object' ? Reflect.get(body, 'error') : null;
	return new Failure(answer.status, textOf(error, 'code') ?? 'unknown',
		textOf(error, 'message') ?? `The gateway answered ${answer.status}`,
		textOf(error, 'remedy'));
}

// The address of a path whose {names} are filled in.
export function address(path: string, params: object = {}): string {
	return '/api/v1' + path.replace(/\{(\w+)\}/g, (_, name: string) =>
		encodeURIComponent(String(Reflect.get(params, name))));
}

// The answer, or nothing within the deadline: a view must not wait for ever.
async function fetchInTime(url: string, init: RequestInit): Promise<Response> {
	const abort = new AbortController();
	const timer = setTimeout(() => abort.abort(), DEADLINE_MS);
	try {
		return await fetch(url, { ...init, signal: abort.signal });
	} catch {
		throw unreachable();
	} finally {
		clearTimeout(timer);
	}
}

let onSignedOut = () => {};

export function whenSignedOut(fn: () => void): void {
	onSignedOut = fn;
}

// Ask; throws a Failure. `T` is what the document says of this path and verb.
export async function ask<T>(verb: Verb, url: string, body?: unknown): Promise<T> {
	const init: RequestInit = { method: verb.toUpperCase(), cache: 'no-store' };
	if (body !== undefined) {
		init.body = JSON.stringify(body);
		init.headers = { 'content-type': 'application/json' };
	}
	const answer = await fetchInTime(url, init);
	if (!answer.ok) {
		const failure = await failureOf(answer);
		if (failure.status === 401)
			onSignedOut();
		throw failure;
	}
	return answer.json().catch(() => { throw unreachable(); });
}

export function call<V extends Verb, P extends PathOf<V>>(verb: V, path: P,
	options: Partial<Call<P, V>> = {}): Promise<Answer<P, V>> {
	return ask<Answer<P, V>>(verb, address(path, options.params ?? {}), options.body);
}
