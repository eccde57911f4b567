// A moment in relative words that stay true while the page is open.
import { useEffect, useReducer } from 'preact/hooks';
import { away, moment, nextChange } from '../lib/time.ts';

export function Ago({ at }: { at: number }) {
	const [turn, again] = useReducer((n: number) => n + 1, 0);
	useEffect(() => {
		const timer = setTimeout(() => again(undefined), nextChange(at));
		return () => clearTimeout(timer);
	}, [at, turn]);
	return <time dateTime={new Date(at * 1000).toISOString()} title={moment(at)}>{away(at)}</time>;
}
