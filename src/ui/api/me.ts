// Who is signed in: read once at the start, kept by the cache.
import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { components } from './gen.ts';

export type Me = components['schemas']['Me'];

export const MeContext = createContext<Me | null>(null);

export function useMe(): Me {
	const me = useContext(MeContext);
	if (!me)
		throw new Error('a view outside of the application');
	return me;
}
