// What has been read from the API, shared by all views. An answer stays while it is being read again,
// so that nothing blinks; views are told when it changes.
import { useEffect, useReducer } from 'preact/hooks';
import { address, ask, Failure } from './client.ts';
import type { Answer, Call, PathOf } from './client.ts';

interface Entry {
	data: unknown;
	failure: Failure | null;
	reading: boolean;
	stale: boolean; // changed while it was being read
	views: Set<() => void>;
}

export interface Loaded<T> {
	data: T | undefined;
	failure: Failure | null;
	again: () => void;
}

const entries = new Map<string, Entry>();

function entryOf(url: string): Entry {
	let entry = entries.get(url);
	if (!entry) {
		entry = { data: undefined, failure: null, reading: false, stale: true, views: new Set() };
		entries.set(url, entry);
	}
	return entry;
}

function tell(entry: Entry): void {
	for (const view of entry.views)
		view();
}

async function read(url: string): Promise<void> {
	const entry = entryOf(url);
	entry.stale = true;
	if (entry.reading)
		return;
	entry.reading = true;
	while (entry.stale) {
		entry.stale = false;
		try {
			entry.data = await ask<unknown>('get', url);
			entry.failure = null;
		} catch (error) {
			entry.failure = error instanceof Failure ? error
				: new Failure(0, 'internal', 'Something went wrong in this page', null);
			if (entry.failure.status === 404 || entry.failure.status === 403)
				entry.data = undefined;
		}
	}
	entry.reading = false;
	tell(entry);
}

// Read again whatever is on the screen and begins so; forget what is not.
export function refresh(prefix = ''): void {
	for (const [url, entry] of entries) {
		if (!url.startsWith('/api/v1' + prefix))
			continue;
		if (entry.views.size)
			void read(url);
		else
			entries.delete(url);
	}
}

export function useApi<P extends PathOf<'get'>>(path: P,
	params?: Call<P, 'get'>['params']): Loaded<Answer<P, 'get'>> {
	const url = address(path, params ?? {});
	const [, again] = useReducer((n: number) => n + 1, 0);
	useEffect(() => {
		const entry = entryOf(url);
		const view = () => again(undefined);
		entry.views.add(view);
		void read(url);
		return () => entry.views.delete(view);
	}, [url]);
	const entry = entryOf(url);
	return {
		data: entry.data as Answer<P, 'get'> | undefined,
		failure: entry.failure,
		again: () => {
			entry.failure = null;
			tell(entry);
			void read(url);
		},
	};
}
